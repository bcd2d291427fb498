import subprocess
import sys

CODE = """
import sys

sys.modules["matplotlib"] = None  # importing it fails; Keras itself does without
import ttfs_keras

assert not [name for name in sys.modules if name.startswith(("ttfs_keras.plots", "ttfs_keras.training"))]
"""


def test_the_package_is_imported_without_matplotlib():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
