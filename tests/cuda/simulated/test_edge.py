"""From a user's array on a device to a result of its kind: through the public functions, in the simulator."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

import device_arrays

import cnnfast
from cnnfast.backends.cuda import arrays, conv, run, table
from cnnfast.ops import tuning

OnDevice, Tensor, numpy_of = device_arrays.OnDevice, device_arrays.Tensor, device_arrays.numpy_of

RNG = np.random.default_rng(8)


def noise(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Any:
    return device_arrays.torch_module(monkeypatch)


X, W, B = noise(2, 5, 6, 3), noise(3, 3, 3, 4), noise(4)


def close(found: Any, expected: np.ndarray) -> bool:
    array = numpy_of(found)
    return array.shape == expected.shape and np.allclose(array, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_call_on_a_device(dtype: str) -> None:
    x, w, b = (each.astype(dtype) for each in (X, W, B))
    how = {"stride": (1, 2), "padding": "same", "activation": "relu"}
    y = cnnfast.conv2d(OnDevice(x), OnDevice(w), OnDevice(b), **how)
    assert numpy_of(y).dtype == dtype
    assert close(y, cnnfast.conv2d(x, w, b, **how))


def test_numbas_own_arrays() -> None:
    y = cnnfast.conv2d(*(toolchain.cuda.to_device(each) for each in (X, W)))
    assert type(y).__name__ == "FakeCUDAArray"
    assert close(y, cnnfast.conv2d(X, W))


def test_torch_in_torch_out_with_channels_last(torch: Any) -> None:
    x = X.transpose(0, 3, 1, 2)  # NCHW whose channels are last in memory
    w = np.ascontiguousarray(W.transpose(3, 2, 0, 1))
    y = cnnfast.conv2d(Tensor(x), Tensor(w), layout="NCHW")
    assert isinstance(y, Tensor)
    assert y.array.transpose(0, 2, 3, 1).flags.c_contiguous
    assert close(y, cnnfast.conv2d(x, w, layout="NCHW"))


def test_a_batch_of_one_with_channels_last(torch: Any) -> None:
    x, w = X[:1].transpose(0, 3, 1, 2), np.ascontiguousarray(W.transpose(3, 2, 0, 1))
    y = cnnfast.conv2d(Tensor(x), Tensor(w), layout="NCHW")
    assert y.array.transpose(0, 2, 3, 1).flags.c_contiguous
    assert close(y, cnnfast.conv2d(x, w, layout="NCHW"))
    both = np.ascontiguousarray(x[:, :1])  # one channel lies in either order: the result is a plain one
    y = cnnfast.conv2d(Tensor(both), Tensor(np.ascontiguousarray(w[:, :1])), layout="NCHW")
    assert y.array.flags.c_contiguous


def test_brain_halves(torch: Any) -> None:
    x, w = ((each.view(np.uint32) >> 16).astype(np.uint16) for each in (X, W))
    y = cnnfast.conv2d(Tensor(x, "bfloat16"), Tensor(w, "bfloat16"))
    wide = (each.astype(np.uint32) << 16 for each in (x, w, y.array))
    x32, w32, y32 = (each.view(np.float32) for each in wide)
    assert y.dtype == "torch.bfloat16"
    assert np.allclose(y32, cnnfast.conv2d(x32, w32), rtol=2**-8, atol=1e-5)


def test_out_is_written_and_returned() -> None:
    expected = cnnfast.conv2d(X, W, B)
    out = OnDevice(np.full(expected.shape, np.nan, np.float32))
    assert cnnfast.conv2d(OnDevice(X), OnDevice(W), OnDevice(B), out=out) is out
    assert close(out, expected)
    wide = np.full((*expected.shape[:3], 7), np.nan, np.float32)
    strided = OnDevice(wide[..., 2:6])
    cnnfast.conv2d(OnDevice(X), OnDevice(W), OnDevice(B), residual=OnDevice(expected), out=strided)
    assert np.allclose(wide[..., 2:6], 2 * expected, atol=1e-5)
    assert np.isnan(wide[..., [0, 1, 6]]).all()


def test_a_residual_that_lies_otherwise() -> None:
    expected = cnnfast.conv2d(X, W)
    added = np.asfortranarray(noise(*expected.shape))
    assert close(cnnfast.conv2d(OnDevice(X), OnDevice(W), residual=OnDevice(added)), expected + added)


def test_an_empty_batch() -> None:
    assert numpy_of(cnnfast.conv2d(OnDevice(X[:0]), OnDevice(W))).shape == (0, 3, 4, 4)


READONLY = np.zeros((2, 3, 4, 4), np.float32)
LOCKED = OnDevice(READONLY, data=(READONLY.ctypes.data, True))
MISTAKES: dict[str, tuple[type[Exception], str, Any]] = {
    "weight here": (TypeError, "weight must lie on the CUDA device as the first array does, got a numpy.ndarray",
                    lambda: cnnfast.conv2d(OnDevice(X), W)),
    "x here": (TypeError, "weight must lie in the CPU's memory, got an array on CUDA",
               lambda: cnnfast.conv2d(X, OnDevice(W))),
    "a list": (TypeError, "bias must lie on the CUDA device",
               lambda: cnnfast.conv2d(OnDevice(X), OnDevice(W), [0.0] * 4)),
    "integers": (TypeError, "x must have a dtype of float32, float64, float16, bfloat16",
                 lambda: cnnfast.conv2d(OnDevice(X.astype(np.int32)), OnDevice(W))),
    "two dtypes": (TypeError, "weight must have dtype float32 on a CUDA device",
                   lambda: cnnfast.conv2d(OnDevice(X), OnDevice(W.astype(np.float64)))),
    "a mask": (TypeError, "x must not be a masked array", lambda: cnnfast.conv2d(OnDevice(X, mask=X), OnDevice(W))),
    "stream 0": (TypeError, "version 3 forbids", lambda: cnnfast.conv2d(OnDevice(X, stream=0), OnDevice(W))),
    "backwards": (ValueError, "x must not run backwards on a CUDA device",
                  lambda: cnnfast.conv2d(OnDevice(X[::-1, ::-1]), OnDevice(W))),
    "between two elements": (ValueError, "x must start at a multiple of its elements' 4 bytes",
                             lambda: cnnfast.relu(OnDevice(X[:1], data=(X.ctypes.data + 2, False)))),
    "swapped bytes": (TypeError, "x must have a dtype of",
                      lambda: cnnfast.conv2d(OnDevice(X.astype(">f4")), OnDevice(W))),
    "rank": (ValueError, re.escape("x must have 4 dimensions (N, H, W, C), got shape (5, 6, 3)"),
             lambda: cnnfast.conv2d(OnDevice(X[0]), OnDevice(W))),
    "channels": (ValueError, re.escape("weight must have C/groups = 3 channels"),
                 lambda: cnnfast.conv2d(OnDevice(X), OnDevice(W[:, :, :2]))),
    "bias": (ValueError, re.escape("bias must have shape (4,)"),
             lambda: cnnfast.conv2d(OnDevice(X), OnDevice(W), OnDevice(B[:3]))),
    "residual": (ValueError, re.escape("residual must have y's shape (2, 3, 4, 4)"),
                 lambda: cnnfast.conv2d(OnDevice(X), OnDevice(W), residual=OnDevice(X))),
    "stride": (ValueError, "stride must be >= 1, got 0", lambda: cnnfast.conv2d(OnDevice(X), OnDevice(W), stride=0)),
    "out's shape": (ValueError, re.escape("out must have shape (2, 3, 4, 4)"),
                    lambda: cnnfast.conv2d(OnDevice(X), OnDevice(W), out=OnDevice(X))),
    "out here": (TypeError, "out must lie on the CUDA device",
                 lambda: cnnfast.conv2d(OnDevice(X), OnDevice(W), out=READONLY)),
    "out read-only": (ValueError, "out must be writable",
                      lambda: cnnfast.conv2d(OnDevice(X), OnDevice(W), out=LOCKED)),
    "out is x": (ValueError, "out must not overlap an input, got one that shares memory with x",
                 lambda: cnnfast.conv2d(OnDevice(X), OnDevice(W[1:2, 1:2, :, :3]), out=OnDevice(X))),
    "algorithm": (ValueError, 'algorithm must be one of "auto", "tune"',
                  lambda: cnnfast.conv2d(OnDevice(X), OnDevice(W), algorithm="winograd_f43x")),
    "a CPU plan": (TypeError, "x must lie in the CPU's memory, as this plan's weights do",
                   lambda: cnnfast.plan_conv2d(X.shape, W)(OnDevice(X))),
    "no kernel": (NotImplementedError, "conv3d has no kernel for CUDA devices yet",
                  lambda: cnnfast.conv3d(OnDevice(X[None]), OnDevice(W[None]))),
    "no gradient's kernel": (NotImplementedError, "grad.unbroadcast has no kernel",
                             lambda: cnnfast.grad.unbroadcast(OnDevice(X), (3,))),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_named(case: str) -> None:
    kind, message, wrong = MISTAKES[case]
    with pytest.raises(kind, match=message):
        wrong()


def test_torchs_gradients_and_devices(torch: Any) -> None:
    with pytest.raises(TypeError, match="x must not require a gradient"):
        cnnfast.conv2d(Tensor(X, requires_grad=True), Tensor(W))
    with pytest.raises(TypeError, match="weight must lie on CUDA device 0 as the first array does, got one on 1"):
        cnnfast.conv2d(Tensor(X), Tensor(W, index=1))


def test_tune_measures_once_and_remembers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = conv.ROWS[-1], conv.ROWS[-1]._replace(name="twin", tiles=lambda problem: (None, None))
    monkeypatch.setattr(conv, "ROWS", rows)
    monkeypatch.setitem(table.TABLE, "conv2d", rows)
    monkeypatch.setattr(tuning, "_known", {})
    timed = []
    monkeypatch.setattr(run, "seconds", lambda work, like: timed.append(work) or float(len(timed)))
    for _ in range(2):
        assert close(cnnfast.conv2d(OnDevice(X[:1]), OnDevice(W), algorithm="tune"), cnnfast.conv2d(X[:1], W))
    path = tmp_path / "tuning.json"
    known = tuning.known()
    assert cnnfast.save_tuning(path) == len(known) == cnnfast.load_tuning(path)
    assert tuning.known() == known
    (entry,) = known
    assert len(timed) == 3
    assert entry.algorithm == "plain:0"
    assert entry.key[:4] == ("simulator", "none", 0, "cuda.conv2d")
    assert entry.microseconds.keys() == {"plain:0", "twin:0", "twin:1"}


def test_a_gradient_that_lies_otherwise_is_summed_where_it_belongs() -> None:
    gradient = noise(2, 4, 5, 3).transpose(0, 3, 1, 2)
    for op, right in ((cnnfast.grad.add, noise(3, 1, 1)), (cnnfast.grad.multiply, noise(5))):
        left = noise(2, 3, 4, 5)
        found = op(OnDevice(gradient), OnDevice(left), OnDevice(right))
        expected = op(gradient, left, right)
        assert all(close(a, b) for a, b in zip(found, expected, strict=True))


def test_a_transposed_depthwise_weights_gradient() -> None:
    gradient, w = noise(1, 3, 4, 6), noise(2, 3, 2, 3).transpose(1, 0, 3, 2)  # (3, 2, 3 channels, 2 each)
    found = cnnfast.grad.depthwise_conv2d_input(OnDevice(gradient), OnDevice(w), (1, 5, 5, 3))
    assert close(found, cnnfast.grad.depthwise_conv2d_input(gradient, w, (1, 5, 5, 3)))


def test_zeros_between_what_is_not_ours() -> None:
    wide = np.full((3, 3, 3, 8), np.nan, np.float32)
    out = OnDevice(wide[..., 2:6])
    assert cnnfast.grad.conv2d_weight(OnDevice(noise(0, 3, 4, 4)), OnDevice(X[:0]), 3, out=out) is out
    assert not wide[..., 2:6].any()
    assert np.isnan(wide[..., [0, 1, 6, 7]]).all()


def test_strides_that_say_nothing() -> None:
    assert arrays.settled((2, 4, 1, 3), (999, 3, 7, 1)) == (999, 3, 3, 1)
    assert arrays.settled((1, 4, 5, 1), (7, 5, 1, 7)) == (20, 5, 1, 1)
    assert arrays.dense_order((2, 3, 4, 5), (60, 1, 15, 3)) == (0, 2, 3, 1)
    assert arrays.dense_order((2, 3), (6, 2)) is None
    assert arrays.dense_order((4, 3), (0, 1)) is None


def test_a_row_by_name() -> None:
    assert close(cnnfast.conv2d(OnDevice(X), OnDevice(W), algorithm="plain"), cnnfast.conv2d(X, W))
