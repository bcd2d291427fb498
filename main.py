"""Train ReLU networks and spiking networks from the command line; `python main.py --help` lists the flags."""

import dataclasses
import logging
import sys
from typing import Any

from absl import app, flags

from ttfs_keras.errors import ConfigurationError, ConversionError, DataError, WeightsError
from ttfs_keras.training.configuration import Configuration
from ttfs_keras.training.run import run


def define_flags():
    """Define one flag for each field of `Configuration`."""
    define = {str: flags.DEFINE_string, bool: flags.DEFINE_bool, int: flags.DEFINE_integer, float: flags.DEFINE_float}
    for item in dataclasses.fields(Configuration):
        if values := item.metadata.get("values"):
            flags.DEFINE_enum(item.name, item.default, values, item.metadata["help"])
        else:
            kind = next(k for k in define if k.__name__ in str(item.type))
            define[kind](item.name, item.default, item.metadata["help"])


def main(arguments):
    """Run what the flags say; settings that cannot work end in one message and status 2."""
    if arguments[1:]:
        sys.exit(f"Expected flags only. Received: {' '.join(arguments[1:])}")
    values: dict[str, Any] = {item.name: flags.FLAGS[item.name].value for item in dataclasses.fields(Configuration)}
    replay = "".join(flags.FLAGS[name].serialize() + "\n" for name in values if values[name] is not None)
    logger = logging.getLogger("ttfs_keras")
    logger.addHandler(logging.StreamHandler(sys.stdout))
    logger.propagate = False  # absl's own handler would print everything again
    try:
        run(Configuration(**values), replay)
    except (ConfigurationError, ConversionError, DataError, WeightsError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    define_flags()
    app.run(main)
