import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import pytest

from ttfs_keras.training.folder import RunFolder
from ttfs_keras.training.record import resume

ROOT = Path(__file__).parents[1]


def main(*flags, folder):
    command = [sys.executable, str(ROOT / "main.py"), f"--logging_dir={folder}", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--epoch=3"], "Did you mean: epochs"),
        (["--model_type=ANN"], "SNN|ReLU"),
        (["--epochs=-1", "--model_name=LeNet"], "epochs: expected at least 0. Received: -1"),
        (["DIGITS"], "Expected flags only. Received: DIGITS"),
        (["--data_name=MNIST", "--data_dir=no-such-folder"], "no-such-folder"),
    ],
)
def test_bad_flags_end_in_one_message(tmp_path, flags, message):
    done = main(*flags, folder=tmp_path / "logs")
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "logs").exists()


def test_relu_then_snn_as_in_the_readme_and_the_flag_file_replays(tmp_path):
    small = ["--units=32", "--epochs=2", "--model_name=FC2_example"]
    assert main("--model_type=ReLU", "--save=True", *small, folder=tmp_path).returncode == 0
    done = main("--model_type=SNN", "--load=True", "--event_driven", *small, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "spikes/neuron weights applied" in done.stdout  # the plan
    found = json.loads((tmp_path / "DIGITS-FC2_example" / "card.json").read_text())["event_driven"]
    assert found["times_faster"] > 0 and [layer["name"] for layer in found["layers"]][-1] == "readout"
    assert "agreement with the ReLU model before training 1.0000" in done.stdout
    folder = tmp_path / "DIGITS-FC2_example"
    card = (folder / "metrics.csv").read_text()
    again = ["--model_type=SNN", "--load=True", "--event_driven", "--resume"]
    assert main(*again, *small, folder=tmp_path).returncode == 0
    again = main(f"--flagfile={folder / 'flags.txt'}", folder=tmp_path)  # also of a run that was resumed
    assert again.returncode == 0, again.stderr
    losses = [
        [line.split(",")[2] for line in text.splitlines()] for text in (card, (folder / "metrics.csv").read_text())
    ]
    assert losses[0] == losses[1]


def test_a_sequential_model_is_loaded_like_any_other(tmp_path):
    layers = keras.layers
    inner = keras.Sequential([layers.Dense(8, "relu"), layers.Dense(7, "relu")])
    keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), inner, layers.Dense(10)]).save(tmp_path / "own.keras")
    flags = ["--load=own.keras", "--model_name=custom", "--epochs=1", "--train_samples=64", "--test_samples=20"]
    done = main(*flags, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "agreement with the ReLU model before training 1.0000" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_in_one_line_and_a_whole_state(tmp_path, number):
    command = [sys.executable, str(ROOT / "main.py"), f"--logging_dir={tmp_path}", "--units=32", "--epochs=1000"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    folder = RunFolder(tmp_path / "DIGITS-FC2")
    while not (folder / "state.keras").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    (line,) = [line for line in errors.splitlines() if "Interrupted" in line]
    _, rows = resume(folder, steps_per_epoch=180)
    assert line == f"Interrupted after epoch {len(rows)}; --resume goes on from there"
    assert "Traceback" not in errors and [path.name for path in folder.path.glob(".*")] == [".lock"]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--units=2000000000", "Out of memory: OOM when allocating tensor with shape[784,2000000000] and type float. "),
        ("--units=18446744073709551616", "units: expected a number below 2**32"),
    ],
)
def test_too_much_ends_in_one_line(tmp_path, flag, message):
    done = main(flag, folder=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr


def test_a_disk_that_fills_ends_in_one_line(tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    command = [sys.executable, str(ROOT / "main.py"), f"--logging_dir={tmp_path}", "--epochs=1", "--save=True"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, preexec_fn=limit)
    assert done.returncode == 2, done.stderr
    folder = tmp_path / "DIGITS-FC2"
    assert f"{folder / 'best.weights.h5'}: File too large. Files written before are whole\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert {"metrics.csv", "flags.txt"} <= {path.name for path in folder.iterdir()}
    assert not list(folder.glob("*.keras")) and [path.name for path in folder.glob(".*")] == [".lock"]


def test_the_module_and_the_script_are_the_same_command():
    helps = [
        subprocess.run([sys.executable, *command, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120)
        for command in (["main.py"], ["-m", "ttfs_keras"])
    ]
    assert all("--model_type" in done.stdout and "firing threshold of the LIF neurons" in done.stdout for done in helps)
