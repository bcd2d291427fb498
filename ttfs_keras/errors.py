"""Errors raised by ttfs_keras, each with what was expected and what was received."""


class DataError(ValueError):
    """A data set could not be found, or a file of it is truncated, of the wrong shape or not finite."""


class ConversionError(ValueError):
    """A model cannot be mapped exactly; the message lists every reason with the operations it holds for."""


class WeightsError(ValueError):
    """A weight file is missing, truncated or does not match the model."""


class ConfigurationError(ValueError):
    """A run was asked for with settings that cannot work; the message lists all of them."""


class OpLibraryError(RuntimeError):
    """The compiled op library is there and cannot be used: built for another TensorFlow or CPU, or loaded twice."""
