"""The command `ttfs-keras`, also `python -m ttfs_keras` and `python main.py`: one flag for each setting of a run."""

import contextlib
import dataclasses
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import tensorflow as tf
from absl import app, flags

from ttfs_keras.errors import ConfigurationError, ConversionError, DataError, OpLibraryError, WeightsError
from ttfs_keras.training.configuration import Configuration
from ttfs_keras.training.run import run


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Define one flag for each field of `Configuration`.

    Args:
        flag_values: where they are defined.
    """
    flags.disclaim_key_flags()  # `--help` lists the flags of the script that was started
    define: dict[str, Any] = {
        "str": flags.DEFINE_string,
        "bool": flags.DEFINE_bool,
        "int": flags.DEFINE_integer,
        "float": flags.DEFINE_float,
    }
    for item in dataclasses.fields(Configuration):
        default: Any = item.default
        only = item.metadata.get("only", ())
        text = ", ".join(only) + ": " * bool(only) + item.metadata["help"]
        if values := item.metadata.get("values"):
            flags.DEFINE_enum(item.name, default, values, text, flag_values=flag_values)
        else:
            kind = next(name for name in define if name in str(item.type))  # `int | None` is an integer flag too
            define[kind](item.name, default, text, flag_values=flag_values)


def _run_as_flags_say(arguments: Sequence[str]) -> None:
    """Run; settings that cannot work end in one message and status 2."""
    if arguments[1:]:
        sys.exit(f"Expected flags only. Received: {' '.join(arguments[1:])}")
    values: dict[str, Any] = {item.name: flags.FLAGS[item.name].value for item in dataclasses.fields(Configuration)}
    replayed = [name for name in values if values[name] is not None and name != "resume"]
    replay = "".join(flags.FLAGS[name].serialize() + "\n" for name in replayed)
    logger = logging.getLogger("ttfs_keras")
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.StreamHandler(sys.stdout))
    logger.propagate = False  # absl's own handler would print everything again
    with _signals() as received:
        try:
            run(Configuration(**values), replay)
        except (ConfigurationError, ConversionError, DataError, OpLibraryError, WeightsError) as error:
            _end(str(error), 2)
        except KeyboardInterrupt as error:
            _end(str(error) or "Interrupted before anything was written", 128 + received[0])
        except OSError as error:
            _end(
                f"{error.filename}: {error.strerror}. Files written before are whole" if error.filename else str(error),
                2,
            )
        except (MemoryError, tf.errors.ResourceExhaustedError) as error:
            what = str(error).split("}} ")[-1].partition(" on /job:")[0].partition("\n")[0]
            _end(
                f"Out of memory: {what}. Smaller networks, batches (--batch_size) or data (--train_samples) take less",
                2,
            )


def _end(message: str, status: int) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    sys.exit(status)


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Turn the first SIGINT or SIGTERM into a KeyboardInterrupt and yield the list that its number comes into."""
    received: list[int] = []

    def stop(number, frame):
        if not received:  # else what the first one has set off comes to its end
            received.append(number)
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main() -> None:
    """Run the command that the arguments of this process give."""
    define_flags()
    app.run(_run_as_flags_say)
