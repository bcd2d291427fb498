"""Reading through tensorflow_datasets: a prepared directory, or a download."""

import contextlib
import io
import re
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from absl import logging

from ttfs_keras.data import checks
from ttfs_keras.data.specs import DatasetSpec
from ttfs_keras.errors import DataError

_CONNECT_SECONDS = 5.0


def find_directory(data_dir: Path, spec: DatasetSpec) -> Path | None:
    """Return the newest prepared version of the data set below `data_dir`, None where there is none."""
    prepared = [info.parent for info in (data_dir / spec.tfds_name).glob("*/dataset_info.json")]
    return max(prepared, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)], default=None)


def read_directory(directory: Path, spec: DatasetSpec) -> checks.Splits:
    """Read a prepared version, such as DATA_DIR/mnist/3.0.1.

    Raises:
        DataError: it cannot be read, or holds images or labels of another kind.
    """
    try:
        import tensorflow_datasets as tfds

        with _quiet():
            arrays = _arrays(tfds.builder_from_directory(directory))
    except Exception as error:
        raise DataError(
            f"{directory}: expected a complete tensorflow_datasets directory. Received: {describe(error)}."
        ) from error
    return _splits(arrays, spec, str(directory))


def download(spec: DatasetSpec) -> tuple[checks.Splits, str]:
    """Read the data set from tensorflow_datasets's own folder, downloading it first where it is not there yet.

    Returns:
        The arrays, in tensorflow_datasets's order of samples instead of the original one, and where they were read.

    Raises:
        DataError: the host cannot be reached, or what arrived is not the data set.
        Exception: whatever tensorflow_datasets raises.
    """
    import tensorflow_datasets as tfds

    with _quiet():
        builder = tfds.builder(spec.tfds_name)
        if not builder.is_prepared():
            # tensorflow_datasets retries for minutes on a machine without network.
            _require_hosts(builder.url_infos)
            tfds.disable_progress_bar()
            builder.download_and_prepare()
        arrays = _arrays(builder)
    where = f"tensorflow_datasets {spec.tfds_name} in {builder.data_dir}"
    return _splits(arrays, spec, where), where


def describe(error: Exception) -> str:
    """Return the error's type and the first line of its message."""
    line = next((line for line in str(error).splitlines() if line.strip()), "")
    return line if isinstance(error, DataError) else f"{type(error).__name__}: {line}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep tensorflow_datasets's notices about missing folders and downloads off the terminal."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)


def _arrays(builder: Any) -> checks.Splits:
    parts = []
    for part in ("train", "test"):
        fields = builder.as_dataset(split=part, batch_size=-1, shuffle_files=False)
        parts += [fields["image"].numpy(), fields["label"].numpy()]
    return checks.Splits(*parts)


def _splits(arrays: checks.Splits, spec: DatasetSpec, where: str) -> checks.Splits:
    parts = []
    for part, x, y in (("train", arrays.x_train, arrays.y_train), ("test", arrays.x_test, arrays.y_test)):
        x = checks.images(x, spec.image_shape, f"{where} ({part})")
        if spec.idx is not None and spec.idx.transposed:
            x = x.swapaxes(1, 2)
        parts += [x, checks.labels(y, spec.classes, len(x), f"{where} ({part})")]
    return checks.Splits(*parts)


def _require_hosts(urls: Any) -> None:
    if urllib.request.getproxies():
        return
    parts = [urlsplit(url) for url in urls]
    places = {(part.hostname or "", part.port or (80 if part.scheme == "http" else 443)) for part in parts}
    for host, port in sorted(places):
        failure = _connection_failure(host, port)
        if failure:
            raise DataError(f"cannot reach {host}:{port} ({failure})")


def _connection_failure(host: str, port: int) -> str:
    result = [f"no answer within {_CONNECT_SECONDS:g} s"]

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
            result[0] = ""
        except OSError as error:
            result[0] = describe(error)

    # The time limit of a connection does not cover the look-up of the name.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_CONNECT_SECONDS)
    return result[0]
