import json

import pytest

from ttfs_keras.files.atomic import replacing, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "card.json"
    write_text(path, "old")
    with pytest.raises(OSError, match="disk full"), replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_has_all_suffixes_that_writers_look_at(tmp_path):
    with replacing(tmp_path / "new" / "best.weights.h5") as temporary:
        assert temporary.name.endswith(".weights.h5")
        temporary.touch()
    assert (tmp_path / "new" / "best.weights.h5").exists()


def test_json(tmp_path):
    write_json(tmp_path / "a.json", {"b": [1.5, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": [1.5, None]}
