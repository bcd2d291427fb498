import subprocess
import sys
from pathlib import Path

import pytest

from ttfs_keras import ConfigurationError
from ttfs_keras.training import folder as folder_module
from ttfs_keras.training.folder import RunFolder
from ttfs_keras.training.record import resume

FLAGS = "--lr=0.1\n--epochs=2\n"


def test_a_new_run_keeps_the_earlier_one_and_the_saved_models(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.start(FLAGS, resume=False)
    (folder / "card.json").write_text("first")
    (folder / "ReLU.keras").write_text("model")
    folder.start("--lr=0.2\n", resume=False)
    assert (folder / "flags.txt").read_text() == "--lr=0.2\n"
    assert (folder / "ReLU.keras").exists() and not (folder / "card.json").exists()
    (kept,) = (folder / "previous").iterdir()
    assert (kept / "card.json").read_text() == "first"
    assert (kept / "flags.txt").read_text() == FLAGS


def test_the_state_of_an_earlier_run_is_none_of_the_new_one(tmp_path):
    """Else a run that is killed in its first epoch would go on from the weights of the one before."""
    folder = RunFolder(tmp_path)
    folder.start(FLAGS, resume=False)
    for name in ("state.keras", "state.json"):
        (folder / name).write_text("[]")
    folder.start(FLAGS, resume=False)
    assert not (folder / "state.keras").exists()
    assert resume(folder, steps_per_epoch=1) is None


def test_what_an_interruption_left_is_moved_the_next_time(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    folder.start(FLAGS, resume=False)
    for name in ("card.json", "state.json", "state.keras"):
        (folder / name).write_text("{}")
    rename, moved = Path.rename, []

    def once(self, target):
        if moved:
            raise KeyboardInterrupt
        moved.append(rename(self, target))

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", once)
        folder.start(FLAGS, resume=False)
    folder.start(FLAGS, resume=False)
    assert {path.name for path in tmp_path.iterdir()} == {"previous", "flags.txt", "environment.json"}


def test_resume_keeps_the_files_and_allows_more_epochs(tmp_path):
    folder = RunFolder(tmp_path)
    folder.start(FLAGS, resume=False)
    (folder / "state.json").write_text("[]")
    folder.start("--lr=0.1\n--epochs=9\n--resume\n", resume=True)
    assert (folder / "state.json").exists() and not (folder / "previous").exists()


def test_resume_refuses_other_flags(tmp_path):
    folder = RunFolder(tmp_path)
    folder.start(FLAGS, resume=False)
    with pytest.raises(ConfigurationError, match=r"--lr=0.1.*Received: .*--lr=0.2"):
        folder.start("--lr=0.2\n--epochs=2\n", resume=True)


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    folder = RunFolder(tmp_path)
    (folder / ".state-123.keras").touch()
    folder.start(FLAGS, resume=True)
    assert not (folder / ".state-123.keras").exists()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="logging_dir: expected a folder to write to"):
        RunFolder(tmp_path / "file" / "run")


def test_one_run_at_a_time(tmp_path):
    first, second = RunFolder(tmp_path), RunFolder(tmp_path)
    for _ in range(2):
        with first.locked():
            first.start(FLAGS, resume=False)  # does not give up the lock
            with pytest.raises(ConfigurationError, match=r"no other run writes to. Received: .* process \d+ "):
                second.locked().__enter__()
    with second.locked():
        pass


def test_a_dead_process_locks_nothing(tmp_path):
    code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / ".lock")], **pipes) as process:
        process.stdout.readline()
        with pytest.raises(ConfigurationError, match="no other run"):
            RunFolder(tmp_path).locked().__enter__()
        process.kill()
    with RunFolder(tmp_path).locked():
        pass


def test_without_locks_it_says_so(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(folder_module, "fcntl", None)
    with RunFolder(tmp_path).locked(), RunFolder(tmp_path).locked():
        assert "do not start two runs in it" in caplog.text
