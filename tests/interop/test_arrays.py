"""Every public op on every kind of array: nothing is copied, and the caller's kind comes back."""

import array
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cnnfast
import cnnfast.grad
from cnnfast.ops import exchange
from cnnfast.ops.signatures import SIGNATURES

Array = np.ndarray[Any, np.dtype[Any]]
RNG = np.random.default_rng(7)


def numbers(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


X, W, B = numbers(2, 6, 5, 4), numbers(3, 3, 4, 6), numbers(6)
OIHW, IOHW = np.ascontiguousarray(W.transpose(3, 2, 0, 1)), np.ascontiguousarray(W.transpose(2, 3, 0, 1))
G = numbers(2, 4, 3, 6)
LINE, VOLUME = numbers(2, 7, 4), numbers(1, 4, 5, 4, 3)
POOLED, PLACES = cnnfast.max_pool2d(X, 2, return_indices=True)

# Each op's arguments: its arrays, then how.
CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "conv2d": ((X, W, B), {"residual": G, "activation": "relu"}),
    "depthwise_conv2d": ((X, numbers(3, 3, 4, 1)), {}),
    "separable_conv2d": ((X, numbers(3, 3, 4, 1), numbers(1, 1, 4, 5)), {}),
    "inverted_residual2d": ((X, numbers(1, 1, 4, 8), numbers(3, 3, 8, 1), numbers(1, 1, 8, 4)), {}),
    "conv2d_max_pool2d": ((X, W), {}),
    "conv_transpose2d": ((X, numbers(3, 3, 6, 4)), {}),
    "max_pool2d": ((X, 2), {"return_indices": True}),
    "min_pool2d": ((X, 2), {}),
    "avg_pool2d": ((X, 2), {}),
    "lp_pool2d": ((X, 2.0, 2), {}),
    "global_avg_pool2d": ((X,), {}),
    "global_max_pool2d": ((X,), {}),
    "adaptive_avg_pool2d": ((X, 2), {}),
    "adaptive_max_pool2d": ((X, 2), {}),
    "max_unpool2d": ((POOLED, PLACES, 2), {"output_size": (6, 5)}),
    "linear": ((numbers(3, 4), numbers(5, 4), numbers(5)), {}),
    "batch_norm": ((X, numbers(4), np.ones(4, np.float32)), {}),
    "batch_norm_train": ((X, numbers(4), numbers(4)), {}),
    "local_response_norm": ((X, 2), {}),
    "concatenate": (([X, X],), {}),
    "pad2d": ((X, 1), {}),
    "upsample2d": ((X,), {}),
    "prelu": ((X, numbers(4)), {}),
    "add": ((X, X), {}),
    "multiply": ((X, X), {}),
    "conv1d": ((LINE, numbers(3, 4, 5)), {}),
    "conv3d": ((VOLUME, numbers(2, 2, 2, 3, 4)), {}),
    "max_pool1d": ((LINE, 2), {}),
    "avg_pool1d": ((LINE, 2), {}),
    "max_pool3d": ((VOLUME, 2), {}),
    "avg_pool3d": ((VOLUME, 2), {}),
} | {
    name: ((X,), {})
    for name in (
        "softmax", "log_softmax", "relu", "relu6", "leaky_relu", "elu", "selu", "sigmoid", "hardsigmoid", "tanh",
        "gelu", "silu", "hardswish", "mish", "softplus",
    )
}  # fmt: skip

GRADIENTS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "activation": ((X, X, "relu"), {}),
    "add": ((X, X, X), {}),
    "bias": ((X,), {}),
    "conv2d_input": ((G, W, X.shape), {}),
    "conv2d_weight": ((G, X, (3, 3)), {}),
    "linear_input": ((numbers(3, 5), numbers(5, 4)), {}),
    "linear_weight": ((numbers(3, 5), numbers(3, 4)), {}),
    "avg_pool2d": ((numbers(2, 3, 2, 4), X.shape, 2), {}),
    "max_pool2d": ((POOLED, PLACES, X.shape), {}),
    "softmax": ((X, X), {}),
    "multiply": ((X, X, X), {}),
}


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="an array of another kind: pip install torch==2.13.0")


@pytest.fixture
def jax() -> Any:
    return pytest.importorskip("jax", reason="an array of another kind: pip install jax")


class Interface:
    """An array that speaks `__array_interface__` alone."""

    def __init__(self, of: Array) -> None:
        self.of = of
        self.__array_interface__ = of.__array_interface__


class Capsule:
    """An array that speaks DLPack alone."""

    def __init__(self, of: Array, device: int = 1) -> None:
        self.of, self.device = of, device

    def __dlpack__(self, **how: Any) -> Any:
        return self.of.__dlpack__(**how)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0


MAKERS: dict[str, Callable[[Any], Any]] = {"interface": Interface, "dlpack": Capsule, "memoryview": memoryview}


def changed(make: Callable[[Array], Any], value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return make(value)
    if isinstance(value, list):
        return [changed(make, each) for each in value]
    return {name: changed(make, each) for name, each in value.items()} if isinstance(value, dict) else value


def call(function: Any, given: tuple[tuple[Any, ...], dict[str, Any]], make: Callable[[Array], Any]) -> list[Any]:
    args, how = given
    found = function(*(changed(make, each) for each in args), **changed(make, how))
    return list(found) if isinstance(found, tuple) else [found]


def same(found: list[Any], expected: list[Array], kind: type) -> None:
    assert [type(each) for each in found] == [kind] * len(expected)
    for each, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(each), right)
        assert each.shape == right.shape


def test_every_op_is_called_here() -> None:
    assert set(CALLS) == set(SIGNATURES)
    assert all(name in cnnfast.grad.__all__ for name in GRADIENTS)


CASES = [(cnnfast, name, each) for name, each in CALLS.items()]
CASES += [(cnnfast.grad, name, each) for name, each in GRADIENTS.items()]
NAMES = [f"{module.__name__}.{name}" for module, name, _ in CASES]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_torch_in_torch_out(case: Any, torch: Any) -> None:
    module, name, given = case
    expected = call(getattr(module, name), given, lambda x: x)
    same(call(getattr(module, name), given, torch.from_numpy), expected, torch.Tensor)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_jax_in_jax_out(case: Any, jax: Any) -> None:
    module, name, given = case
    expected = call(getattr(module, name), given, lambda x: x)
    found = call(getattr(module, name), given, jax.numpy.asarray)
    assert all(isinstance(each, jax.Array) for each in found)
    for each, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(each), right)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_any_other_kind_gives_numpy(case: Any, kind: str) -> None:
    module, name, given = case
    expected = call(getattr(module, name), given, lambda x: x)
    same(call(getattr(module, name), given, MAKERS[kind]), expected, np.ndarray)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all arrays that an op copied."""
    from cnnfast.ops import arrays

    made: list[str] = []
    true = arrays.allocate

    def allocate(name: str, *args: Any) -> Array:
        if "copy" in name:
            made.append(name)
        return true(name, *args)

    monkeypatch.setattr(arrays, "allocate", allocate)
    return made


@pytest.mark.parametrize("kind", ["torch", "jax", *MAKERS])
def test_nothing_is_copied(kind: str, copies: list[str], request: pytest.FixtureRequest) -> None:
    """The op reads the very memory that the caller has: seen by address, and by what it allocates."""
    make: Any = MAKERS.get(kind)
    if make is None:
        framework = request.getfixturevalue(kind)
        make = framework.from_numpy if kind == "torch" else framework.numpy.asarray
    theirs = make(X)
    address = {
        "torch": lambda: theirs.data_ptr(), "jax": lambda: theirs.unsafe_buffer_pointer(),
    }.get(kind, lambda: X.ctypes.data)()  # fmt: skip
    assert exchange.view("x", theirs).ctypes.data == address
    for name in ("conv2d", "max_pool2d", "relu", "add", "batch_norm", "upsample2d"):
        call(getattr(cnnfast, name), CALLS[name], make)
    cnnfast.plan_conv2d(X.shape, make(W))(theirs)
    assert copies == []
    cnnfast.relu(X[:, ::2])  # the spy sees one
    assert copies != []


def test_results_are_given_without_a_copy(torch: Any, jax: Any) -> None:
    large = np.zeros((1, 64, 64, 4), np.float32)
    for back in (exchange._torch_back, exchange._jax_back):
        y = cnnfast.relu(large)
        theirs = back(y)
        pointer = theirs.data_ptr() if back is exchange._torch_back else theirs.unsafe_buffer_pointer()
        assert pointer == y.ctypes.data


@pytest.mark.parametrize("name", ["conv2d", "max_pool2d", "relu", "add", "linear", "batch_norm", "concatenate"])
def test_out_may_be_a_tensor(name: str, torch: Any) -> None:
    args, how = CALLS[name]
    how = {key: value for key, value in how.items() if key != "return_indices"}
    function = getattr(cnnfast, name)
    expected = function(*args, **how)
    for make in (torch.from_numpy, lambda x: x):
        out = torch.full(expected.shape, float("nan"))
        memory = out.data_ptr()
        assert function(*(changed(make, each) for each in args), **changed(make, how), out=out) is out
        assert out.data_ptr() == memory
        np.testing.assert_array_equal(out.numpy(), expected)
    ours = np.empty_like(expected)
    assert function(*(changed(torch.from_numpy, each) for each in args), **how, out=ours) is ours
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("kind", ["interface", "memoryview"])
def test_out_may_be_any_memory(kind: str) -> None:
    expected = cnnfast.relu(X)
    memory = np.empty_like(X)
    out = MAKERS[kind](memory)
    assert cnnfast.relu(X, out=out) is out
    np.testing.assert_array_equal(memory, expected)
    plan = cnnfast.plan_conv2d(X.shape, W)
    held = np.empty((2, 4, 3, 6), np.float32)
    out = MAKERS[kind](held)
    assert plan(X, out=out) is out
    np.testing.assert_array_equal(held, cnnfast.conv2d(X, W))


def test_an_array_of_the_standard_library() -> None:
    flat = array.array("f", X.ravel().tolist())
    image = memoryview(flat).cast("B").cast("f", X.shape)
    np.testing.assert_array_equal(cnnfast.conv2d(image, W), cnnfast.conv2d(X, W))
    np.testing.assert_array_equal(cnnfast.relu(flat), cnnfast.relu(X).ravel())


def test_plans_and_networks(torch: Any, jax: Any) -> None:
    x, w = torch.from_numpy(X), torch.from_numpy(W)
    plan = cnnfast.plan_conv2d(X.shape, w)
    same([plan(x)], [plan(X)], torch.Tensor)
    out = torch.empty(2, 4, 3, 6)
    assert plan(x, torch.from_numpy(G), out) is out
    np.testing.assert_array_equal(out, plan(X, G))
    assert isinstance(plan(jax.numpy.asarray(X)), jax.Array)
    rows = cnnfast.plan_linear((3, 4), torch.ones(5, 4))
    to = torch.empty(3, 5)
    assert rows(torch.ones(3, 4), out=to) is to
    assert to.tolist() == rows(torch.ones(3, 4)).tolist() == [[4.0] * 5] * 3

    model = cnnfast.models.LeNet5()
    image = numbers(2, 32, 32, 1)
    expected = model.predict(image)
    network = model.plan(image.shape)
    for run in (network, model.predict, model):
        same([run(torch.from_numpy(image))], [run(image)], torch.Tensor)
    to = torch.empty(2, 10)
    assert network(torch.from_numpy(image), out=to) is to
    np.testing.assert_array_equal(to, expected)
    layer = cnnfast.layers.ReLU()
    same([layer(x)], [layer(X)], torch.Tensor)


# Channels last.


def images(torch: Any, *, last: bool) -> Any:
    x = torch.from_numpy(np.ascontiguousarray(X.transpose(0, 3, 1, 2)))
    return x.contiguous(memory_format=torch.channels_last) if last else x


LAYERS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "conv2d": (
        lambda c, x: c.conv2d(x, OIHW, B, layout="NCHW", padding=1),
        lambda t, x: t.nn.functional.conv2d(x, t.from_numpy(OIHW), t.from_numpy(B), padding=1),
    ),
    "max_pool2d": (
        lambda c, x: c.max_pool2d(x, 2, layout="NCHW"), lambda t, x: t.nn.functional.max_pool2d(x, 2)
    ),
    "avg_pool2d": (
        lambda c, x: c.avg_pool2d(x, 3, 1, layout="NCHW"), lambda t, x: t.nn.functional.avg_pool2d(x, 3, 1)
    ),
    "adaptive_avg_pool2d": (
        lambda c, x: c.adaptive_avg_pool2d(x, 2, layout="NCHW"),
        lambda t, x: t.nn.functional.adaptive_avg_pool2d(x, 2),
    ),
    "conv_transpose2d": (
        lambda c, x: c.conv_transpose2d(x, IOHW, layout="NCHW", stride=2),
        lambda t, x: t.nn.functional.conv_transpose2d(x, t.from_numpy(IOHW), stride=2),
    ),
    "batch_norm": (
        lambda c, x: c.batch_norm(x, *(np.arange(i, i + 4, dtype=np.float32) for i in (0, 1)), layout="NCHW"),
        lambda t, x: t.nn.functional.batch_norm(x, t.arange(4.0), t.arange(1.0, 5.0)),
    ),
    "relu": (lambda c, x: c.relu(x), lambda t, x: x.relu()),
    "add": (lambda c, x: c.add(x, x), lambda t, x: x + x),
    "concatenate": (lambda c, x: c.concatenate([x, x], 1), lambda t, x: t.cat([x, x], 1)),
    "pad2d": (lambda c, x: c.pad2d(x, 1, layout="NCHW"), lambda t, x: t.nn.functional.pad(x, (1, 1, 1, 1))),
    "upsample2d": (
        lambda c, x: c.upsample2d(x, 2, layout="NCHW"), lambda t, x: t.nn.functional.interpolate(x, scale_factor=2.0)
    ),
}  # fmt: skip


@pytest.mark.parametrize("last", [True, False], ids=["channels_last", "contiguous"])
@pytest.mark.parametrize("name", LAYERS)
def test_channels_last_as_torch_has_it(name: str, last: bool, torch: Any, copies: list[str]) -> None:
    """Values and strides are torch's, and nothing is copied on the way."""
    ours, theirs = LAYERS[name]
    x = images(torch, last=last)
    y, expected = ours(cnnfast, x), theirs(torch, x)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    assert y.stride() == expected.stride()
    assert [each for each in copies if not each.endswith("weight")] == []
    torch.testing.assert_close(ours(cnnfast, images(torch, last=not last)), y, rtol=0, atol=0)  # the same bits


@pytest.mark.parametrize("x_last", [True, False])
@pytest.mark.parametrize("y_last", [True, False])
def test_out_lies_as_it_lies(x_last: bool, y_last: bool, torch: Any, copies: list[str]) -> None:
    x = images(torch, last=x_last)
    w = OIHW
    how = torch.channels_last if y_last else torch.contiguous_format
    plan = cnnfast.plan_conv2d(tuple(x.shape), w, B, layout="NCHW", activation="relu")
    residual = torch.from_numpy(G.transpose(0, 3, 1, 2).copy())
    expected = cnnfast.conv2d(X, W, B, residual=G, activation="relu").transpose(0, 3, 1, 2)
    out = torch.full(expected.shape, float("nan")).contiguous(memory_format=how)
    strides = out.stride()
    assert plan(x, residual.contiguous(memory_format=how), out) is out
    assert out.stride() == strides
    np.testing.assert_array_equal(out, expected)
    assert copies == []
    np.testing.assert_array_equal(plan(x, residual), expected)  # and a residual in whatever order


@pytest.mark.parametrize("last", [True, False])
def test_indices_of_channels_last(last: bool, torch: Any) -> None:
    x = images(torch, last=last)
    y, places = cnnfast.max_pool2d(x, 2, layout="NCHW", return_indices=True)
    expected, indices = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    assert torch.equal(y, expected)
    assert torch.equal(places, indices)
    back = cnnfast.max_unpool2d(y, places, 2, layout="NCHW", output_size=(6, 5))
    assert torch.equal(back, torch.nn.functional.max_unpool2d(expected, indices, 2, output_size=(6, 5)))
    grad = cnnfast.grad.max_pool2d(y, places, tuple(x.shape), layout="NCHW")
    assert torch.equal(grad, back)


@pytest.mark.parametrize("dtype", ["float64", "int8", "int32"])
def test_channels_last_of_other_dtypes(dtype: str) -> None:
    x = RNG.integers(-9, 9, (2, 6, 5, 4)).astype(dtype)
    w = RNG.integers(-9, 9, (3, 3, 4, 6)).astype(dtype)
    y = cnnfast.conv2d(x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1), layout="NCHW")
    np.testing.assert_array_equal(y, cnnfast.conv2d(x, w).transpose(0, 3, 1, 2))
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous


def test_fused_plans_turn_too() -> None:
    turned, w = X.transpose(0, 3, 1, 2), OIHW
    y = cnnfast.conv2d_max_pool2d(turned, w, layout="NCHW")
    np.testing.assert_array_equal(y, cnnfast.conv2d_max_pool2d(X, W).transpose(0, 3, 1, 2))
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous


def test_a_turned_plan_outlives_its_plan() -> None:
    """They share the packed weights: whichever is freed first."""
    w = OIHW
    expected = cnnfast.conv2d(X, W)
    for _ in range(20):
        plan = cnnfast.plan_conv2d((2, 4, 6, 5), w, layout="NCHW")
        turned = plan.native.turned(True, True)
        assert turned is not None
        del plan
        y = np.empty_like(expected)
        assert turned.run(X, None, y)
        np.testing.assert_array_equal(y, expected)
    assert cnnfast.plan_conv2d(X.shape, W).native.turned(True, True) is None


# Refusals.


def refused(torch: Any, name: str) -> Any:
    t = torch.ones(1, 4, 4, 1)
    return {
        "gradient": lambda: t.clone().requires_grad_(),
        "parameter": lambda: torch.nn.Parameter(t),
        "meta": lambda: t.to("meta"),
        "bfloat16": t.bfloat16,
        "float16": t.half,
        "sparse": t.to_sparse,
        "conjugate": lambda: torch.ones(1, 4, 4, 1, dtype=torch.complex64).conj(),
        "negative": lambda: torch._neg_view(t),
        "complex": lambda: t.to(torch.complex64),
    }[name]()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gradient", "x must not require a gradient, which would be lost: .*cnnfast.interop.torch"),
        ("parameter", r"x must not require a gradient.*x.detach\(\)"),
        ("meta", "x must lie in the CPU's memory, got an array on meta"),
        ("bfloat16", "x cannot be read where it lies .torch.bfloat16"),
        ("float16", "x must have a dtype of float32.*float16"),
        ("sparse", "x cannot be read where it lies .*sparse"),
        ("conjugate", "x cannot be read where it lies .*conjugate bit"),
        ("negative", "x cannot be read where it lies .*negative bit"),
        ("complex", "x must have a dtype of float32.*complex64"),
    ],
)
def test_what_torch_has_and_we_refuse(name: str, words: str, torch: Any) -> None:
    weight = np.ones((3, 3, 1, 1), np.float32)
    with pytest.raises(TypeError, match=words):
        cnnfast.conv2d(refused(torch, name), weight)
    with pytest.raises(TypeError, match=words):
        cnnfast.relu(refused(torch, name))
    words = words.replace("x must have a dtype of float32", "x must have the plan's dtype")
    with pytest.raises(TypeError, match=words):
        cnnfast.plan_conv2d((1, 4, 4, 1), weight)(refused(torch, name))


def test_a_gradient_that_nobody_records(torch: Any) -> None:
    x = torch.from_numpy(X).requires_grad_()
    with torch.no_grad():
        np.testing.assert_array_equal(cnnfast.relu(x), cnnfast.relu(X))
    with pytest.raises(TypeError, match="weight must not require a gradient"):
        cnnfast.conv2d(X, torch.from_numpy(W).requires_grad_())
    with pytest.raises(TypeError, match="out must not require a gradient"):
        cnnfast.relu(X, out=torch.empty(X.shape, requires_grad=True))


@pytest.mark.parametrize(("device", "name"), [(2, "CUDA:0"), (10, "ROCm:0"), (99, "type 99:0")])
def test_other_devices_are_named(device: int, name: str) -> None:
    if device == 2:
        assert exchange.on_device(Capsule(X, device))  # its call goes there: tests/cuda
    else:
        with pytest.raises(TypeError, match=f"x must lie in the CPU's memory, got an array on {name}"):
            cnnfast.relu(Capsule(X, device))
    with pytest.raises(TypeError, match=f"weight must lie in the CPU's memory, got an array on {name}"):
        cnnfast.conv2d(X, Capsule(W, device))


def test_jax_arrays_that_are_no_memory(jax: Any) -> None:
    with pytest.raises(TypeError, match=r"x must have values, got a tracer.*cnnfast.interop.jax"):
        jax.jit(cnnfast.relu)(jax.numpy.ones(3))
    with pytest.raises(TypeError, match=r"x cannot be read where it lies .bfloat16"):
        cnnfast.relu(jax.numpy.ones(3, jax.numpy.bfloat16))
    with pytest.raises(TypeError, match="out must be an array that can be written to, got one of jax"):
        cnnfast.relu(np.ones(3), out=jax.numpy.ones(3))


def test_out_that_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="out must be writable"):
        cnnfast.relu(X, out=memoryview(bytes(X.nbytes)).cast("f", X.shape))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"out must be a numpy.ndarray, or an array of another kind, got list"):
        cnnfast.relu(X, out=[0.0])  # type: ignore[arg-type]


def test_out_over_x_of_another_kind(torch: Any) -> None:
    x = torch.from_numpy(X.copy())
    with pytest.raises(ValueError, match="out must not overlap an input"):
        cnnfast.relu(x, out=x)
    with pytest.raises(ValueError, match="out must not overlap an input"):
        cnnfast.relu(x.numpy(), out=x)


# What callers see of it.


@pytest.mark.parametrize("name", CALLS)
def test_public_ops_are_what_they_wrap(name: str) -> None:
    function = getattr(cnnfast, name)
    inner = function.__wrapped__
    assert inspect.signature(function) == inspect.signature(inner)
    assert function.__doc__ == inner.__doc__
    assert function.__module__ == "cnnfast"
    assert pickle.loads(pickle.dumps(function)) is function


def test_no_framework_is_imported() -> None:
    program = """if True:
        import sys, numpy as np, cnnfast
        cnnfast.conv2d(memoryview(np.ones((1, 3, 3, 1), np.float32)), np.ones((3, 3, 1, 1), np.float32))
        print({"torch", "jax", "cupy", "tensorflow"} & set(sys.modules))
    """
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_outputs_of_ops_that_return_several_come_back() -> None:
    torch = pytest.importorskip("torch", reason="pip install torch==2.13.0")
    x, out = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1), np.empty((1, 2, 2, 1), np.float32)
    y, indices = cnnfast.max_pool2d(torch.from_numpy(x), 2, return_indices=True, out=out)
    assert y is out
    assert isinstance(indices, torch.Tensor)
    tensor = torch.empty(1, 2, 2, 1)
    y, indices = cnnfast.max_pool2d(x, 2, return_indices=True, out=tensor)
    assert y is tensor
    assert isinstance(indices, np.ndarray)
    np.testing.assert_array_equal(tensor.numpy(), out)


def test_a_list_of_tensors() -> None:
    torch = pytest.importorskip("torch", reason="pip install torch==2.13.0")
    y = cnnfast.relu([torch.tensor([-1.0, 2.0]), torch.tensor([3.0, -4.0])])
    assert isinstance(y, torch.Tensor)
    assert y.tolist() == [[0.0, 2.0], [3.0, 0.0]]


def test_masks_are_refused_by_plans_with_out() -> None:
    plan = cnnfast.plan_conv2d((1, 4, 4, 1), np.ones((3, 3, 1, 1), np.float32))
    x, y = np.ones((1, 4, 4, 1), np.float32), np.full((1, 2, 2, 1), 7, np.float32)
    with pytest.raises(TypeError, match="x must not be a masked array"):
        plan(np.ma.masked_array(x), out=y)
    with pytest.raises(TypeError, match="residual must not be a masked array"):
        plan(x, np.ma.masked_array(y), out=np.empty_like(y))
    assert (y == 7).all()
