"""Train ReLU networks and spiking networks from the command line; `python main.py --help` lists the flags."""

import dataclasses
import logging
import sys
from typing import Any

from absl import app, flags

from ttfs_keras.errors import ConfigurationError, ConversionError, DataError, OpLibraryError, WeightsError
from ttfs_keras.training.configuration import Configuration
from ttfs_keras.training.run import run


def define_flags():
    """Define one flag for each field of `Configuration`."""
    define: dict[str, Any] = {
        "str": flags.DEFINE_string,
        "bool": flags.DEFINE_bool,
        "int": flags.DEFINE_integer,
        "float": flags.DEFINE_float,
    }
    for item in dataclasses.fields(Configuration):
        default: Any = item.default
        text = ", ".join(item.metadata.get("only", ())) + ": " * ("only" in item.metadata) + item.metadata["help"]
        if values := item.metadata.get("values"):
            flags.DEFINE_enum(item.name, default, values, text)
        else:
            kind = next(name for name in define if name in str(item.type))  # `int | None` is an integer flag too
            define[kind](item.name, default, text)


def main(arguments):
    """Run what the flags say; settings that cannot work end in one message and status 2."""
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
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    define_flags()
    app.run(main)
