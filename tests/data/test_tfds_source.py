import socket
import sys
import time

import numpy as np
import pytest

from ttfs_keras.data import spec, tfds_source
from ttfs_keras.errors import DataError

tfds = pytest.importorskip("tensorflow_datasets")


def write_tfds(data_dir, entry, splits, version="3.0.1"):
    import tensorflow as tf

    folder = data_dir / entry.tfds_name / version
    folder.mkdir(parents=True)
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=entry.image_shape),
            "label": tfds.features.ClassLabel(num_classes=entry.classes),
        }
    )
    infos = []
    for part, x, y in (("train", splits.x_train, splits.y_train), ("test", splits.x_test, splits.y_test)):
        template = tfds.core.ShardedFileTemplate(
            data_dir=folder, dataset_name=entry.name.lower(), split=part, filetype_suffix="tfrecord"
        )
        with tf.io.TFRecordWriter(str(template.sharded_filepath(shard_index=0, num_shards=1))) as writer:
            for image, label in zip(x, y, strict=True):
                writer.write(features.serialize_example(features.encode_example({"image": image, "label": label})))
        infos.append(tfds.core.SplitInfo(name=part, shard_lengths=[len(x)], num_bytes=0, filename_template=template))
    tfds.folder_dataset.write_metadata(data_dir=folder, features=features, split_infos=infos)
    return folder


@pytest.mark.parametrize("name", ["MNIST", "CIFAR10"])
def test_prepared_directory_round_trip(tmp_path, name, files):
    splits = files.make_splits(name)
    folder = write_tfds(tmp_path, spec(name), splits)
    assert tfds_source.find_directory(tmp_path, spec(name)) == folder
    found = tfds_source.read_directory(folder, spec(name))
    for field, array in splits._asdict().items():
        np.testing.assert_array_equal(getattr(found, field), array)


def test_prepared_emnist_is_turned_upright(tmp_path, files):
    upright = files.make_splits("EMNIST")
    stored = upright._replace(x_train=upright.x_train.swapaxes(1, 2), x_test=upright.x_test.swapaxes(1, 2))
    found = tfds_source.read_directory(write_tfds(tmp_path, spec("EMNIST"), stored), spec("EMNIST"))
    np.testing.assert_array_equal(found.x_train, upright.x_train)
    np.testing.assert_array_equal(found.y_test, upright.y_test)


def test_newest_version_wins(tmp_path):
    for version in ("3.0.9", "3.0.10"):
        folder = tmp_path / "mnist" / version
        folder.mkdir(parents=True)
        (folder / "dataset_info.json").write_text("{}")
    assert tfds_source.find_directory(tmp_path, spec("MNIST")).name == "3.0.10"
    assert tfds_source.find_directory(tmp_path, spec("CIFAR10")) is None


def test_damaged_directory_is_named(tmp_path, files):
    folder = write_tfds(tmp_path, spec("MNIST"), files.make_splits("MNIST"))
    record = folder / "mnist-test.tfrecord-00000-of-00001"
    record.write_bytes(record.read_bytes()[:-7])
    with pytest.raises(DataError, match=r"3\.0\.1: expected a complete tensorflow_datasets directory"):
        tfds_source.read_directory(folder, spec("MNIST"))


class Builder:
    """Stands for a tensorflow_datasets builder whose data set is not prepared."""

    def __init__(self, url):
        self.url_infos = {url: None}
        self.asked = False

    def is_prepared(self):
        return False

    def download_and_prepare(self):
        self.asked = True
        sys.stdout.write("Downloading and preparing dataset")
        raise OSError("disk full")


def test_unreachable_host_fails_before_the_download(monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        builder = Builder(f"http://127.0.0.1:{port}/mnist.gz")
        monkeypatch.setattr(tfds, "builder", lambda name: builder)
        monkeypatch.setattr("urllib.request.getproxies", dict)
        with pytest.raises(DataError, match=rf"cannot reach 127\.0\.0\.1:{port} \(ConnectionRefusedError"):
            tfds_source.download(spec("MNIST"))
    assert not builder.asked


def test_slow_name_look_up_fails_in_time(monkeypatch):
    monkeypatch.setattr(tfds_source, "_CONNECT_SECONDS", 0.05)

    def answer_late(*_, **__):
        time.sleep(0.5)
        raise OSError("late")

    monkeypatch.setattr(socket, "create_connection", answer_late)
    assert tfds_source._connection_failure("example.invalid", 443) == "no answer within 0.05 s"


def test_behind_a_proxy_the_host_is_not_asked(monkeypatch, capsys):
    builder = Builder("https://example.invalid/mnist.gz")
    monkeypatch.setattr(tfds, "builder", lambda name: builder)
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy.invalid:3128"})
    with pytest.raises(OSError, match="disk full"):
        tfds_source.download(spec("MNIST"))
    assert builder.asked
    assert capsys.readouterr().out == ""


def test_describe_keeps_one_line():
    assert tfds_source.describe(ValueError("\nfirst\nsecond")) == "ValueError: first"
    assert tfds_source.describe(ValueError()) == "ValueError: "
    assert tfds_source.describe(DataError("cannot reach host")) == "cannot reach host"
