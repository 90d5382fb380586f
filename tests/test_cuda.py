"""All ops on a CUDA device: fresh random data each time, against the oracle; poisoned outputs, streams, and torch.

    pip install "cnnfast[cuda]" torch cupy-cuda13x && pytest tests/test_cuda.py
    compute-sanitizer --tool memcheck python -m pytest tests/test_cuda.py -k small

CNNFAST_SEED=7 repeats the data that a failure names.
"""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pytest

import cnnfast
from cnnfast.ops.device import table, tune
from cnnfast.ops.signatures import SIGNATURES
from cnnfast.verification import draw, judge
from cnnfast.verification.case import Case, in_layout, layouts
from cnnfast.verification.draw import SCHEDULE
from cnnfast.verification.expected_dense import expected_of
from cnnfast.verification.expected_device import on_device

WANTED = 'needs a CUDA device, its driver and pip install "cnnfast[cuda]"'
try:
    from cnnfast.backends.cuda import driver
    from cnnfast.backends.cuda.toolchain import SIMULATED, cuda

    driver.device(0)
    MISSING = "runs where NUMBA_ENABLE_CUDASIM is not set" if SIMULATED else ""
except (ImportError, RuntimeError) as error:
    MISSING = f"{WANTED}: {error}"
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

SEED = int(os.environ.get("CNNFAST_SEED", time.time_ns() % 2**31))


class Kind(NamedTuple):
    """A framework's arrays: made of NumPy's, and read back when the device is done."""

    put: Callable[[np.ndarray], Any]
    get: Callable[[Any], np.ndarray]


def kind(name: str) -> Kind:
    if name == "numba":
        return Kind(cuda.to_device, lambda array: array.copy_to_host())
    if name == "torch":
        torch = pytest.importorskip("torch", reason="pip install torch, one that is built for CUDA")
        if not torch.cuda.is_available():
            pytest.skip("this torch is not built for CUDA")
        return Kind(lambda array: torch.from_numpy(array).cuda(), lambda tensor: tensor.cpu().numpy())
    if name == "cupy":
        cupy = pytest.importorskip("cupy", reason="pip install cupy-cuda13x")
        return Kind(cupy.asarray, cupy.asnumpy)
    jax = pytest.importorskip("jax", reason='pip install "jax[cuda13]"')
    if jax.default_backend() != "gpu":
        pytest.skip("this JAX has no CUDA device")
    return Kind(jax.numpy.asarray, np.asarray)


def cases(op: str, dtype: str, limit: int) -> Iterator[Case]:
    """Without NaN and infinities, of at most so many elements an array."""
    places = [i for i, each in enumerate(SCHEDULE) if each == (op, np.dtype(dtype))]
    for turn in range(10_000):
        for place in places:
            case = draw(SEED, turn * len(SCHEDULE) + place)
            sizes = [each.size for each in case.inputs.values() if each is not None]
            if case.kind != "special" and max(sizes) <= limit and min(sizes):
                yield case


def check(case: Case, of: Kind, layout: str, *, poisoned: bool = True, **how: Any) -> None:
    """The op on a device, into an output full of NaN, against the oracle."""
    right = on_device(case, expected_of(case))
    arrays = {name: None if each is None else of.put(each) for name, each in in_layout(case, layout).items()}
    if case.op == "concatenate":
        arrays = {"arrays": [each for each in arrays.values() if each is not None]}
    how |= {"layout": layout} if "layout" in SIGNATURES[case.op].attributes else {}
    if poisoned:
        shape = right.value.shape if not layout.startswith("NC") else np.moveaxis(right.value, -1, 1).shape
        how["out"] = of.put(np.full(shape, np.nan, case.y_dtype))
    found = getattr(cnnfast, case.op)(**arrays, **case.attributes, **how)
    assert not poisoned or (found[0] if isinstance(found, tuple) else found) is how["out"]
    y, *rest = (of.get(each) for each in (found if isinstance(found, tuple) else (found,)))
    if layout.startswith("NC"):
        y, rest = np.moveaxis(y, 1, -1), [np.moveaxis(each, 1, -1) for each in rest]
    fault = judge.fault(np.ascontiguousarray(y), rest[0] if right.indices is not None else None, right, False,
                        case.zero_sign)  # fmt: skip
    assert fault is None, f"CNNFAST_SEED={SEED}, case {case.index}: {case}: {fault}"


DRAWN = [op for op in table.OPS if op != "batch_norm_train"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", DRAWN)
def test_an_op_is_the_oracles(op: str, dtype: str) -> None:
    of = kind("numba")
    strict = {"precision": "strict"} if "conv" in op or op == "inverted_residual2d" else {}
    for case in islice(cases(op, dtype, 200_000), 12):
        for layout in layouts(op):
            check(case, of, layout, **strict)


@pytest.mark.parametrize("op", DRAWN)
def test_small(op: str) -> None:
    """What compute-sanitizer is run on."""
    for case in islice(cases(op, "float32", 2000), 4):
        check(case, kind("numba"), layouts(op)[-1], poisoned=False)


@pytest.mark.parametrize("name", ["numba", "torch", "cupy", "jax"])
@pytest.mark.parametrize("op", ["conv2d", "max_pool2d", "batch_norm", "relu", "add", "linear"])
def test_every_kind_of_array(op: str, name: str) -> None:
    of = kind(name)
    for case in islice(cases(op, "float32", 20_000), 3):
        check(case, of, layouts(op)[0], poisoned=name != "jax")


def test_every_row_of_conv2d() -> None:
    of = kind("numba")
    taken = set()
    for case in islice(cases("conv2d", "float32", 50_000), 40):
        for row in tune.algorithms("conv2d"):
            if row.startswith("winograd"):
                continue  # whose bound is another
            try:
                check(case, of, "NHWC", algorithm=row)
                taken.add(row)
            except ValueError as error:
                if "does not take this problem" not in str(error):
                    raise
    assert "plain" in taken


@pytest.fixture
def torch() -> Any:
    kind("torch")
    import torch

    return torch


LAYERS = [(1, 56, 64, 64, 3, 1), (4, 28, 128, 256, 1, 2), (2, 14, 512, 512, 3, 1), (2, 224, 3, 64, 7, 2)]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("precision", ["strict", "default", "fast"])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_conv2d_is_torchs(torch: Any, layer: tuple[int, ...], precision: str, dtype: str) -> None:
    """Within 2**-9 of the largest sum of sizes for TF32, 2**-20 for float32, and a half's own rounding."""
    N, H, C, K, R, stride = layer
    random = torch.Generator("cuda").manual_seed(SEED)
    normal = partial(torch.randn, generator=random, device="cuda")
    x, w = (normal(shape).to(getattr(torch, dtype)) for shape in ((N, C, H, H), (K, C, R, R)))
    for memory in (torch.contiguous_format, torch.channels_last):
        x, w = (each.contiguous(memory_format=memory) for each in (x, w))
        y = cnnfast.conv2d(x, w, stride=stride, padding=R // 2, layout="NCHW", precision=precision)
        assert y.is_contiguous(memory_format=memory)
        right = torch.nn.functional.conv2d(x.double(), w.double(), stride=stride, padding=R // 2)
        size = torch.nn.functional.conv2d(x.double().abs(), w.double().abs(), stride=stride, padding=R // 2)
        own = {"float32": 0.0, "float16": 2**-11, "bfloat16": 2**-8}[dtype]
        allowed = (2**-9 if precision == "fast" else 2**-20) * size + own * right.abs() + 1e-6
        assert bool(((y.double() - right).abs() <= allowed).all()), f"CNNFAST_SEED={SEED}"


def test_nothing_is_written_beside_out(torch: Any) -> None:
    x, w = torch.randn(2, 9, 9, 5, device="cuda"), torch.randn(3, 3, 5, 7, device="cuda")
    room = torch.full((64 + 2 * 7 * 7 * 7 + 64,), torch.nan, device="cuda")
    out = room[64:-64].view(2, 7, 7, 7)
    cnnfast.conv2d(x, w, out=out)
    assert not bool(out.isnan().any())
    assert bool(room[:64].isnan().all())
    assert bool(room[-64:].isnan().all())


def test_the_callers_stream(torch: Any) -> None:
    """x is written late on a side stream, and y is read there: without waiting in between."""
    stream = torch.cuda.Stream()
    x, w = torch.zeros(8, 64, 64, 32, device="cuda"), torch.randn(3, 3, 32, 32, device="cuda")
    expected = cnnfast.conv2d(x + 1, w)
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        x.add_(1)
        y = cnnfast.conv2d(x, w).clone()
    stream.synchronize()
    assert torch.equal(y, expected)


def test_the_same_bits_every_run(torch: Any) -> None:
    x, w = torch.randn(4, 28, 28, 64, device="cuda"), torch.randn(3, 3, 64, 64, device="cuda")
    first = cnnfast.conv2d(x, w)
    assert all(torch.equal(cnnfast.conv2d(x, w), first) for _ in range(20))
    grads = [cnnfast.grad.conv2d_weight(first, x, 3) for _ in range(5)]
    assert all(torch.equal(each, grads[0]) for each in grads)


def test_two_devices_are_not_mixed(torch: Any) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two devices")
    with pytest.raises(TypeError, match="weight must lie on CUDA device 0"):
        cnnfast.conv2d(torch.ones(1, 3, 3, 1, device="cuda:0"), torch.ones(1, 1, 1, 1, device="cuda:1"))
    assert cnnfast.relu(torch.ones(3, device="cuda:1")).device.index == 1


def test_tune_chooses_a_row_that_is_right(torch: Any) -> None:
    x, w = torch.randn(2, 28, 28, 64, device="cuda"), torch.randn(3, 3, 64, 64, device="cuda")
    assert torch.allclose(cnnfast.conv2d(x, w, algorithm="tune"), cnnfast.conv2d(x, w), rtol=1e-3, atol=1e-3)
