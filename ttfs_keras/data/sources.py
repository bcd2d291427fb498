"""The search through the places a data set may be found in."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ttfs_keras.data import checks, formats, tfds_source
from ttfs_keras.data.specs import DatasetSpec
from ttfs_keras.errors import DataError

_Found = tuple[checks.Splits, str]


class _NotHereError(Exception):
    """A place holds nothing of the data set; the message says what was looked for."""


def find(spec: DatasetSpec, data_dir: str | Path | None) -> _Found:
    """Return the data set from the first place that holds it, with a text that says where that was.

    The places: `data_dir`, the Keras cache, the folder of a Debian package, tensorflow_datasets.

    Args:
        spec: the data set.
        data_dir: folder with files of it, or None.

    Raises:
        DataError: `data_dir` is not a folder; a file that was found is truncated, corrupt or of another kind;
            or no place holds the data set, in which case the message lists them all.
    """
    require_folder(data_dir)
    failures = []
    for place, read in _places(spec, data_dir):
        try:
            return read()
        except _NotHereError as error:
            failures.append(f"  - {place}: {error}")
        except OSError as error:
            raise DataError(f"{place}: expected a readable folder. Received: {tfds_source.describe(error)}.") from error
    raise DataError("\n".join([f"Data set {spec.name} was not found. Tried:", *failures, _remedy(spec)]))


def require_folder(data_dir: str | Path | None) -> None:
    """Raise `DataError` if `data_dir` is given and is not a folder."""
    if data_dir is not None and not Path(data_dir).expanduser().is_dir():
        received = "a file" if Path(data_dir).expanduser().exists() else "a path that does not exist"
        raise DataError(f"Expected data_dir to be a folder. Received: data_dir={str(data_dir)!r}, {received}.")


def _places(spec: DatasetSpec, data_dir: str | Path | None) -> Iterator[tuple[str, Callable[[], _Found]]]:
    if data_dir is None:
        yield "data_dir", _absent("none was given")
    else:
        folder = Path(data_dir).expanduser()
        yield f"data_dir {folder}", lambda: _read_folder(spec, folder)
    cache = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser() / "datasets"
    yield f"Keras cache {cache}", lambda: _read_keras_cache(spec, cache)
    if spec.system_folder:
        system = Path(spec.system_folder)
        yield f"Debian package {spec.system_package}", lambda: _read_system(spec, system)
    yield f"tensorflow_datasets {spec.tfds_name}", lambda: _download(spec)


def _absent(reason: str) -> Callable[[], _Found]:
    def read() -> _Found:
        raise _NotHereError(reason)

    return read


def _read_folder(spec: DatasetSpec, folder: Path) -> _Found:
    path = folder / spec.npz
    if path.is_file():
        return formats.read_npz(path, spec), str(path)
    looked = [spec.npz]
    if spec.idx is not None:
        found = _read_idx(spec, folder, spec.idx.folders)
        if found is not None:
            return found
        looked.append(f"{spec.idx.train}-images-idx3-ubyte(.gz)")
    if spec.cifar is not None:
        for subfolder in spec.cifar.folders:
            if formats.find_bin(folder / subfolder, spec.cifar):
                return formats.read_bin_files(folder / subfolder, spec, spec.cifar), str(folder / subfolder)
        looked.append(spec.cifar.train[0])
    directory = tfds_source.find_directory(folder, spec)
    if directory is not None:
        return tfds_source.read_directory(directory, spec), str(directory)
    looked.append(f"{spec.tfds_name}/*/dataset_info.json")
    raise _NotHereError(f"holds none of {', '.join(looked)}")


def _read_idx(spec: DatasetSpec, folder: Path, subfolders: tuple[str, ...]) -> _Found | None:
    if spec.idx is not None:
        for subfolder in subfolders:
            files = formats.find_idx(folder / subfolder, spec.idx)
            if files:
                return formats.read_idx_files(files, spec), str(folder / subfolder)
    return None


def _read_keras_cache(spec: DatasetSpec, cache: Path) -> _Found:
    if spec.cifar is not None:
        raise _NotHereError("Keras keeps this set as pickles, which are not read")
    if not spec.keras_cache:
        raise _NotHereError("Keras does not have this set")
    path = cache / spec.keras_cache
    if path.suffix == ".npz":
        if path.is_file():
            return formats.read_npz(path, spec), str(path)
        raise _NotHereError(f"no {spec.keras_cache}")
    found = _read_idx(spec, cache, (spec.keras_cache,))
    if found is None:
        raise _NotHereError(f"no idx files in {spec.keras_cache}")
    return found


def _read_system(spec: DatasetSpec, folder: Path) -> _Found:
    found = _read_idx(spec, folder, ("",))
    if found is None:
        raise _NotHereError(f"no idx files in {folder}; is it installed?")
    return found


def _download(spec: DatasetSpec) -> _Found:
    # Whatever goes wrong in a download (network, disk, a broken installation) is one more line of one report.
    try:
        return tfds_source.download(spec)
    except Exception as error:
        raise _NotHereError(tfds_source.describe(error)) from error


def _remedy(spec: DatasetSpec) -> str:
    files = [spec.npz]
    if spec.idx is not None:
        files.append(f"the four idx files ({spec.idx.train}-images-idx3-ubyte.gz ...)")
    if spec.cifar is not None:
        files.append(f"the binary version ({', '.join((*spec.cifar.train, *spec.cifar.test))})")
    package = f" or install {spec.system_package}," if spec.system_package else ""
    return (
        f"Remedy: give as data_dir (--data_dir) a folder with {' or '.join(files)},{package} "
        "or run once with a network connection; DIGITS needs neither."
    )
