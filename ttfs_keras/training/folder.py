"""The run folder: where a run writes, and what earlier runs left there."""

import contextlib
import logging
import os
import platform
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.errors import ConfigurationError
from ttfs_keras.files.atomic import write_json, write_text
from ttfs_keras.version import __version__

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger("ttfs_keras")

LOCK = ".lock"


class RunFolder:
    """Files of one run: flags, environment, log, metrics, card, windows, state, best weights, model, plots.

    Args:
        path: the folder.

    Attributes:
        epochs: of the run at hand whose state is written.

    Raises:
        ConfigurationError: the folder cannot be created or written.
    """

    epochs = 0

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_text(self.path / "writable", "")
            (self.path / "writable").unlink()
        except OSError as error:
            raise ConfigurationError(f"logging_dir: expected a folder to write to. Received: {error}") from error

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of the folder; a process that ends, however it does, keeps out none.

        Where the file system or Python has no `flock` nothing is locked, which is logged.

        Raises:
            ConfigurationError: another run is at work in the folder.
        """
        with (self / LOCK).open("a+", encoding="utf-8") as file:
            try:
                if fcntl is None:
                    raise OSError("this Python has no fcntl")
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise ConfigurationError(
                    f"logging_dir: expected a run folder that no other run writes to. Received: {self.path}, in which "
                    f"process {file.read()} is at work; wait for it or give another --logging_dir or --model_name"
                ) from error
            except OSError as error:
                logger.warning("%s is not locked, so do not start two runs in it: %s", self.path, error)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def progress(self) -> str:
        """Return in words how far the run at hand got, and what to do."""
        if not self.epochs:
            return "before the first epoch ended; start the run again"
        return f"after epoch {self.epochs}; --resume goes on from there"

    def start(self, flags: str, resume: bool) -> None:
        """Note flags and environment; move an earlier run's files to `previous/<time>`.

        All but saved models are moved, the flags last, so that what an interruption leaves is moved the next time.

        Args:
            flags: text that replays the run with `--flagfile`.
            resume: go on with the run that is there, which must have had the same flags (epochs may grow).

        Raises:
            ConfigurationError: the run that is there had other flags.
        """
        for unfinished in self.path.glob(".*"):  # what a killed process was writing
            if unfinished.name != LOCK:
                unfinished.unlink()
        noted = self / "flags.txt"
        if resume and noted.exists():
            old, new = (_compared(text) for text in (noted.read_text(encoding="utf-8"), flags))
            if old != new:
                raise ConfigurationError(
                    f"resume: expected the flags of the run in {self.path}, {sorted(old - new)}. "
                    f"Received: {sorted(new - old)}"
                )
        elif noted.exists():
            started = datetime.fromtimestamp(noted.stat().st_mtime, timezone.utc)
            previous = self / "previous" / started.strftime("%Y%m%dT%H%M%S.%fZ")
            previous.mkdir(parents=True, exist_ok=True)
            for item in sorted(self.path.iterdir(), key=lambda item: item == noted):
                saved = item.suffix == ".keras" and item.name != "state.keras"
                if item.name not in ("previous", LOCK) and not saved:
                    item.rename(previous / item.name)
        write_text(noted, flags)
        write_json(self / "environment.json", environment())


def _compared(flags: str) -> set[str]:
    """Return the lines of a flag file that make two runs the same training."""
    return {line for line in flags.splitlines() if not line.startswith(("--resume", "--noresume", "--epochs"))}


def environment() -> dict[str, Any]:
    """Return what a run's result may depend on besides its flags."""
    return {
        "command": " ".join(sys.argv),
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": platform.platform(),
        "cpus": os.cpu_count(),
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
        "python": platform.python_version(),
        "ttfs_keras": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }
