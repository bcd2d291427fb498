"""The CUDA kernels without a GPU: run on the CPU against the CPU kernels, and compiled by nvcc where there is one."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

OPS = Path(__file__).parents[2] / "custom_ops"
HOST = ["-x", "c++", "-include", str(OPS / "testing" / "host_execution.h")]
SANITIZERS = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ was not found")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make was not found")
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc was not found")


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600)


def build_and_run(folder: Path, flags: list[str], random_layers: int) -> str:
    """Builds the comparison of the kernels, its files at once, and returns what it prints."""
    sources: dict[str, list[str]] = {
        "cpu.cc": [],
        "bats.cu": HOST,
        "testing/kernels_test.cc": [],
        "testing/host.cc": [],
    }
    building = []
    for source, how in sources.items():
        command = ["g++", "-std=c++17", "-Wall", "-Wextra", *flags, *how, "-c", str(OPS / source)]
        command += ["-o", str(folder / f"{Path(source).stem}.o")]
        building.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    messages = [process.communicate()[1] for process in building]
    assert not any(messages), "".join(messages)
    program = folder / "kernels_test"
    linked = run("g++", *flags, *folder.glob("*.o"), "-o", program, "-pthread")
    assert linked.returncode == 0, linked.stderr
    done = run(program, random_layers)
    assert done.returncode == 0, done.stderr
    return done.stdout


SSE2 = pytest.param("-msse2", marks=pytest.mark.slow)


@needs_compiler
@pytest.mark.parametrize("flag", ["-U__SSE2__", SSE2, "-march=x86-64-v3", "-march=x86-64-v4"])
def test_cpu_and_cuda_kernels_agree(tmp_path, flag):
    """Without vector instructions, and with each kind of them that this CPU has."""
    level = flag.removeprefix("-march=")
    source = tmp_path / "supports.cc"
    source.write_text(
        f'int main() {{ return !__builtin_cpu_supports("{level}"); }}' if level != flag else "int main() {}"
    )
    if run("g++", *[flag] * (level == flag), source, "-o", tmp_path / "supports").returncode:
        pytest.skip(f"g++ knows no {flag} here")
    if run(tmp_path / "supports").returncode:
        pytest.skip(f"this CPU is no {level}")
    last = build_and_run(tmp_path, ["-O2", flag], random_layers=12).splitlines()[-1]
    assert re.match(r"\d+ layers, .* values agree", last)


@pytest.mark.slow
@needs_compiler
def test_kernels_keep_to_their_memory(tmp_path):
    empty = tmp_path / "empty.cc"
    empty.write_text("int main() {}")
    if run("g++", *SANITIZERS, empty, "-o", tmp_path / "empty").returncode != 0 or run(tmp_path / "empty").returncode:
        pytest.skip("g++ has no working address and undefined-behaviour sanitizers here")
    assert build_and_run(tmp_path, SANITIZERS, random_layers=4)


@needs_nvcc
def test_cuda_kernels_compile_and_keep_to_registers(tmp_path):
    architectures = ("75", "80", "90")
    targets = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in architectures]
    done = run(
        "nvcc",
        "-c",
        "-std=c++17",
        "-Werror=all-warnings",
        "-Xptxas=-v",
        *targets,
        OPS / "bats.cu",
        "-o",
        tmp_path / "bats.o",
    )
    assert done.returncode == 0, done.stderr
    kernels = re.findall(r"entry function '(\w+)' for 'sm_(\d+)'.*\n.*Function properties.*\n\s*(.*)\n", done.stderr)
    assert {architecture for _, architecture, _ in kernels} == set(architectures)
    # Eight kernels of two precisions.
    assert len(kernels) == 8 * 2 * len(architectures)
    expected = "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"
    assert [kernel for kernel in kernels if kernel[2] != expected] == []


@needs_make
@needs_compiler
@needs_nvcc
def test_gpu_check_builds_from_the_sources_alone(tmp_path):
    """And passes where there is no GPU; where there is one, this compares and times the kernels on it."""
    shutil.copy(OPS.parent / "Makefile", tmp_path)
    shutil.copytree(OPS, tmp_path / "custom_ops")
    done = run("make", "-C", tmp_path, "gpu-check")
    assert done.returncode == 0, done.stdout + done.stderr
    for program in ("kernels_test", "timings"):
        assert (tmp_path / "build" / "gpu-check" / program).exists()
    assert "nothing was run" in done.stdout or "training step" in done.stdout


@needs_make
def test_gpu_check_without_nvcc():
    done = subprocess.run(
        ["make", "-C", OPS.parent, "gpu-check", "NVCC=no-such-nvcc"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "no-such-nvcc was not found" in done.stdout
