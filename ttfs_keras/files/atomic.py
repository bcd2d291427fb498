"""Writing files so that a crash or a full disk never leaves half of one."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` (same suffix) that takes its place if the block succeeds.

    Args:
        path: file to write; its folder is created.

    Raises:
        OSError: the folder or file cannot be written; `path`, which the error names, is then what it was before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    name, dot, suffixes = path.name.partition(".")
    temporary = path.with_name(f".{name}-{os.getpid()}{dot}{suffixes}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:  # a full disk does not say which file
        raise OSError(error.errno, error.strerror, str(path)) if error.errno else error from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON to `path`, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")
