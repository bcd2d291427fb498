"""The command `ttfs-keras`, also `python -m ttfs_keras` and `python main.py`: one flag for each setting of a run."""

import dataclasses
import logging
import sys
from collections.abc import Sequence
from typing import Any

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
    try:
        run(Configuration(**values), replay)
    except (ConfigurationError, ConversionError, DataError, OpLibraryError, WeightsError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


def main() -> None:
    """Run the command that the arguments of this process give."""
    define_flags()
    app.run(_run_as_flags_say)
