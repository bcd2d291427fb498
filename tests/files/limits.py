"""Files that cannot be written in full, as on a disk that fills."""

import contextlib
import resource


@contextlib.contextmanager
def file_size(most):
    """Let writes behind so many bytes of a file fail; Python ignores the signal that comes with it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
