"""A process that is killed while it saves never loses the file: the old one or the new one is there, whole."""

import subprocess
import sys
from pathlib import Path

import pytest

TRIES = 25  # of each format: 100 together

SAVING = """
import os, random, signal, sys, time
import numpy as np
from cnnfast import Sequential
from cnnfast.layers import Dense

path, tries = sys.argv[1], int(sys.argv[2])
save = "save" if path.endswith(".keras") else "save_weights"

def network():
    return Sequential([Dense(1000, input_shape=(1000,), name="d", kernel_initializer="zeros")])

model = network()
random.seed(path)
getattr(model, save)(path)
began = time.perf_counter()
getattr(model, save)(path)
took = time.perf_counter() - began
halves = 0
for number in range(1, tries + 1):
    value = float(model.get_weights()[1][0])
    begin, ready = os.pipe()
    child = os.fork()
    if child == 0:
        model.set_weights([np.full((1000, 1000), number), np.full(1000, number)])
        os.write(ready, b"!")
        getattr(model, save)(path)
        os._exit(0)
    os.read(begin, 1)
    os.close(begin)
    os.close(ready)
    time.sleep(random.uniform(0, 1.2 * took))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    model.load_weights(path)
    kernel, bias = model.get_weights()
    assert (kernel == bias[0]).all() and (bias == bias[0]).all(), "parts of two files"
    assert bias[0] in (value, number), (bias[0], value, number)
    for name in os.listdir(os.path.dirname(path)):
        if name != os.path.basename(path):
            halves += 1
            os.unlink(os.path.join(os.path.dirname(path), name))
print(halves)
"""


@pytest.mark.parametrize("name", ["w.npz", "w.safetensors", "w.weights.h5", "m.keras"])
def test_a_kill_never_loses_the_file(name: str, tmp_path: Path) -> None:
    pytest.importorskip("safetensors" if "safe" in name else "h5py", reason='pip install "cnnfast[weights]"')
    command = [sys.executable, "-P", "-c", SAVING, str(tmp_path / name), str(TRIES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0, "none was killed while it wrote: the test says nothing"
