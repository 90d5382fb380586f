"""torch's ops that cnnfast computes, against torch's own: values, memory formats, gradients, torch's checks of ops."""

import doctest
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install torch==2.13.0")

import cnnfast.interop.torch as ct
from cnnfast.interop import torch_weights
from cnnfast.interop.torch import functional, modules

F: Any = torch.nn.functional
OPS: Any = torch.ops.cnnfast
DTYPES = [torch.float32, torch.float64]
Make = Callable[..., Any]


def maker(dtype: Any, last: bool, grad: bool = False) -> Make:
    """Random tensors; 4-D ones are channels_last where `last`."""
    seed = torch.Generator().manual_seed(1)

    def make(*shape: int) -> Any:
        x = torch.randn(*shape, dtype=dtype, generator=seed)
        x = x.contiguous(memory_format=torch.channels_last) if last and len(shape) == 4 else x
        return x.requires_grad_(grad)

    return make


# name: (our function, torch's, arguments by a maker)
CASES: dict[str, tuple[Make, Make, Callable[[Make], tuple[Any, ...]]]] = {
    "conv2d": (ct.conv2d, F.conv2d, lambda r: (r(2, 6, 9, 8), r(4, 3, 3, 2), r(4), (2, 1), 1, (1, 2), 2)),
    "conv2d plain": (ct.conv2d, F.conv2d, lambda r: (r(2, 3, 5, 5), r(4, 3, 3, 3))),
    "conv2d same": (ct.conv2d, F.conv2d, lambda r: (r(2, 3, 5, 6), r(4, 3, 2, 4), None, 1, "same", (1, 2))),
    "conv2d valid": (ct.conv2d, F.conv2d, lambda r: (r(2, 3, 5, 6), r(4, 3, 2, 4), None, 2, "valid")),
    "conv2d depthwise": (ct.conv2d, F.conv2d, lambda r: (r(1, 8, 6, 7), r(16, 1, 3, 3), r(16), 1, 1, 1, 8)),
    "conv2d 1x1 image": (ct.conv2d, F.conv2d, lambda r: (r(3, 5, 1, 1), r(4, 5, 1, 1), r(4))),
    "conv2d one channel": (ct.conv2d, F.conv2d, lambda r: (r(2, 1, 7, 7), r(4, 1, 3, 3), r(4))),
    "conv2d no batch": (ct.conv2d, F.conv2d, lambda r: (r(3, 5, 5), r(4, 3, 3, 3), r(4))),
    "conv2d empty batch": (ct.conv2d, F.conv2d, lambda r: (r(0, 3, 5, 5), r(4, 3, 3, 3), r(4))),
    "conv_transpose2d": (
        ct.conv_transpose2d, F.conv_transpose2d, lambda r: (r(2, 4, 5, 4), r(4, 3, 3, 2), r(6), 2, 1, 1, 2),
    ),
    "max_pool2d": (ct.max_pool2d, F.max_pool2d, lambda r: (r(2, 3, 9, 8), 3, 2, 1)),
    "max_pool2d ceil": (ct.max_pool2d, F.max_pool2d, lambda r: (r(2, 3, 9, 8), 3, (2, 3), 1, (1, 2), True)),
    "max_pool2d indices": (
        lambda x: ct.max_pool2d(x, 3, 2, 1, return_indices=True)[0],
        lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True)[0], lambda r: (r(2, 3, 9, 8),),
    ),
    "avg_pool2d": (ct.avg_pool2d, F.avg_pool2d, lambda r: (r(2, 3, 9, 8), 3, 2, 1, True, False)),
    "avg_pool2d default": (ct.avg_pool2d, F.avg_pool2d, lambda r: (r(2, 3, 9, 8), (2, 3))),
    "adaptive_avg_pool2d": (ct.adaptive_avg_pool2d, F.adaptive_avg_pool2d, lambda r: (r(2, 3, 9, 8), (3, None))),
    "adaptive_avg_pool2d global": (ct.adaptive_avg_pool2d, F.adaptive_avg_pool2d, lambda r: (r(2, 3, 9, 8), 1)),
    "linear": (ct.linear, F.linear, lambda r: (r(3, 2, 8), r(5, 8), r(5))),
    "linear vector": (ct.linear, F.linear, lambda r: (r(8), r(5, 8))),
    "batch_norm": (
        ct.batch_norm, F.batch_norm, lambda r: (r(2, 6, 3, 4), r(6).detach(), r(6).detach().square(), r(6), r(6)),
    ),
    "batch_norm training": (
        ct.batch_norm, F.batch_norm, lambda r: (r(2, 6, 3, 4), r(6).detach(), r(6).detach().square(), r(6), r(6), True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_values_and_memory_formats_are_torchs(name: str, dtype: Any, last: bool) -> None:
    ours, theirs, arguments = CASES[name]
    with torch.no_grad():
        first, second = arguments(maker(dtype, last)), arguments(maker(dtype, last))
        y, expected = ours(*first), theirs(*second)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5 if dtype == torch.float32 else 1e-12)
    assert y.stride() == expected.stride() or not y.numel()
    for a, b in zip(first, second, strict=True):  # running statistics change alike, nothing else does
        if isinstance(a, torch.Tensor):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_torchs(name: str, last: bool) -> None:
    ours, theirs, arguments = CASES[name]
    pairs = []
    for run in (ours, theirs):
        given = arguments(maker(torch.float64, last, grad=True))
        y = run(*given)
        y.backward(torch.linspace(-1, 1, y.numel(), dtype=torch.float64).reshape(y.shape))
        pairs.append([each.grad for each in given if isinstance(each, torch.Tensor) and each.requires_grad])
    for mine, expected in zip(*pairs, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-10)


# op: arguments by a maker whose tensors ask for gradients, whether it is differentiable twice
CHECKED: dict[str, tuple[Callable[[Make], tuple[Any, ...]], bool]] = {
    "conv2d": (lambda r: (r(2, 4, 5, 4), r(4, 2, 3, 2), r(4), [2, 1], [1, 0, 1, 1], [1, 2], 2), True),
    "conv2d_fused": (
        lambda r: (r(1, 2, 4, 3), r(2, 2, 3, 3), r(2), r(1, 2, 4, 3), [1, 1], [1, 1], [1, 1], 1, "leaky_relu", 0.1),
        True,
    ),
    "conv2d_grad_input": (lambda r: (r(1, 2, 3, 2), r(2, 2, 3, 3), [1, 2, 5, 4]), True),
    "conv2d_grad_weight": (lambda r: (r(1, 2, 3, 2), r(1, 2, 5, 4), [3, 3]), True),
    "conv_transpose2d": (lambda r: (r(1, 4, 3, 2), r(4, 2, 2, 3), r(4), [2, 1], [1, 0], [1, 0], 2), True),
    "max_pool2d": (lambda r: (r(1, 2, 5, 4), [2, 2], [1, 2]), True),
    "max_pool2d_with_indices": (lambda r: (r(1, 2, 5, 4), [2, 2]), True),
    "max_pool2d_grad": (lambda r: (r(1, 2, 1, 1), torch.tensor([[[[3]], [[0]]]]), [1, 2, 2, 2]), True),
    "avg_pool2d": (lambda r: (r(1, 2, 5, 4), [3, 2], [1, 2], [1, 1], True, False), True),
    "avg_pool2d_grad": (lambda r: (r(1, 2, 2, 2), [1, 2, 4, 4], [2, 2]), True),
    "adaptive_avg_pool2d": (lambda r: (r(1, 2, 5, 4), [3, 3]), True),
    "adaptive_avg_pool2d_grad": (lambda r: (r(1, 2, 3, 3), [1, 2, 5, 4]), True),
    "linear": (lambda r: (r(3, 4), r(5, 4), r(5)), True),
    "linear_grad_input": (lambda r: (r(3, 5), r(5, 4)), True),
    "linear_grad_weight": (lambda r: (r(3, 5), r(3, 4)), True),
    "batch_norm": (lambda r: (r(3, 2, 2, 2), r(2).detach(), r(2).detach().square() + 1, r(2), r(2)), False),
    "batch_norm_train": (lambda r: (r(3, 2, 2, 2), r(2), r(2), 1e-5, "relu"), False),
    "activation_grad_input": (lambda r: (r(3, 4), r(3, 4).detach(), "tanh"), True),
}  # fmt: skip


def test_every_op_is_checked() -> None:
    names = {name.split("::")[1].split(".")[0] for name in torch._C._dispatch_get_all_op_names() if "cnnfast::" in name}
    assert names - set(CHECKED) == {"batch_norm_grad"}  # which has no gradient, and says so


@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("name", CHECKED)
def test_gradcheck(name: str, last: bool) -> None:
    arguments, twice = CHECKED[name]
    given = arguments(maker(torch.float64, last, grad=True))
    op = getattr(OPS, name)

    def run(*args: Any) -> Any:
        y = op(*args)
        return y[0] if name in ("max_pool2d_with_indices", "batch_norm_train") else y

    assert torch.autograd.gradcheck(run, given)
    if twice:
        assert torch.autograd.gradgradcheck(run, given)


@pytest.mark.parametrize("activation", ["relu", "relu6", "sigmoid", "tanh", "elu", "selu", "gelu", "gelu_tanh", "silu",
                                        "hardswish", "hardsigmoid", "mish", "softplus"])  # fmt: skip
def test_gradcheck_of_fused_activations(activation: str) -> None:
    r = maker(torch.float64, False, grad=True)
    given = r(1, 2, 4, 3), r(2, 2, 3, 3), r(2), r(1, 2, 2, 1)
    alpha = 1.0 if activation == "elu" else 0.0
    assert torch.autograd.gradcheck(
        lambda *t: OPS.conv2d_fused(*t, [1, 1], [0, 0], [1, 1], 1, activation, alpha), given
    )
    given = r(2, 3), r(4, 3), r(4)
    assert torch.autograd.gradcheck(lambda *t: OPS.linear(*t, activation, alpha), given)


@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("name", [*CHECKED, "batch_norm_grad"])
def test_opcheck(name: str, last: bool) -> None:
    r = maker(torch.float32, last, grad=True)
    if name == "batch_norm_grad":
        images, vectors = [r(2, 3, 2, 2).detach() for _ in range(2)], [r(3).detach().square() for _ in range(4)]
        given: Any = (*images, *vectors, 1e-5, True)
    else:
        given = CHECKED[name][0](r)
    torch.library.opcheck(getattr(OPS, name).default, given)


def test_second_derivatives_that_are_not_there_say_so() -> None:
    x = torch.randn(2, 3, 2, 2, requires_grad=True)
    (grad,) = torch.autograd.grad(ct.batch_norm(x, None, None, training=True).square().sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="batch_norm has no second derivative"):
        grad.sum().backward()
    weight = torch.randn(2, 3, 1, 1, requires_grad=True)
    y = ct.conv2d(x, weight, activation="tanh")
    (grad,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivative of a fused tanh"):
        grad.sum().backward()


def test_strided_expanded_and_mixed_tensors() -> None:
    r = maker(torch.float32, False)
    base = r(2, 5, 12, 6)
    weight = r(4, 5, 3, 3)
    for x in (base[:, :, ::2], base.flip(3), base.transpose(2, 3), r(1, 5, 6, 6).expand(3, 5, 6, 6)):
        torch.testing.assert_close(ct.conv2d(x, weight), F.conv2d(x, weight), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(ct.max_pool2d(x, 2), F.max_pool2d(x, 2))
    turned = weight.permute(0, 1, 3, 2)
    torch.testing.assert_close(ct.conv2d(base, turned), F.conv2d(base, turned), rtol=1e-5, atol=1e-5)
    lasting = weight.contiguous(memory_format=torch.channels_last)
    assert ct.conv2d(base, lasting).is_contiguous(memory_format=torch.channels_last)
    x = r(2, 5, 4, 4).requires_grad_()
    ct.conv2d(x, weight).sum().backward()  # an expanded gradient
    expected = torch.autograd.grad(F.conv2d(x, weight).sum(), x)[0]
    torch.testing.assert_close(x.grad, expected, rtol=1e-5, atol=1e-5)


ones: Any = torch.ones
BAD: list[tuple[type[Exception], str, Callable[[], Any]]] = [
    (ValueError, "stride must be >= 1, got 0", lambda: ct.conv2d(ones(1, 1, 4, 4), ones(1, 1, 3, 3), stride=0)),
    (ValueError, "channels", lambda: ct.conv2d(ones(1, 2, 4, 4), ones(1, 1, 3, 3))),
    (ValueError, "groups must divide", lambda: ct.conv2d(ones(1, 3, 4, 4), ones(2, 1, 3, 3), groups=2)),
    (ValueError, "bias must have shape", lambda: ct.conv2d(ones(1, 1, 4, 4), ones(1, 1, 3, 3), ones(2))),
    (ValueError, "4 dimensions", lambda: ct.conv2d(ones(4, 4), ones(1, 1, 3, 3))),
    (ValueError, "weight must have 4 dimensions", lambda: ct.conv2d(ones(1, 1, 4, 4), ones(3, 3))),
    (ValueError, "padding must be", lambda: ct.conv2d(ones(1, 1, 4, 4), ones(1, 1, 3, 3), padding="full")),
    (ValueError, "stride 1", lambda: ct.conv2d(ones(1, 1, 4, 4), ones(1, 1, 3, 3), None, 2, "same")),
    (ValueError, "activation must be one of",
     lambda: ct.conv2d(ones(1, 1, 4, 4), ones(1, 1, 3, 3), activation="rleu")),
    (ValueError, "residual must have y's shape",
     lambda: ct.conv2d(ones(1, 1, 4, 4), ones(1, 1, 3, 3), residual=ones(1, 1, 1, 1))),
    (TypeError, "x must be float32 or float64, got torch.float16",
     lambda: ct.conv2d(ones(1, 1, 4, 4).half(), ones(1, 1, 3, 3).half())),
    (TypeError, "weight must be torch.float32",
     lambda: ct.conv2d(ones(1, 1, 4, 4), ones(1, 1, 3, 3, dtype=torch.float64))),
    (ValueError, "padding", lambda: ct.max_pool2d(ones(1, 1, 4, 4), 2, padding=2)),
    (ValueError, "kernel_size", lambda: ct.max_pool2d(ones(1, 1, 4, 4), 0)),
    (ValueError, "divisor_override", lambda: ct.avg_pool2d(ones(1, 1, 4, 4), 2, divisor_override=3)),
    (ValueError, "output_size", lambda: ct.adaptive_avg_pool2d(ones(1, 1, 4, 4), (1, 2, 3))),
    (ValueError, "weight must have x's C", lambda: ct.linear(ones(2, 3), ones(2, 4))),
    (ValueError, "output_padding", lambda: ct.conv_transpose2d(ones(1, 1, 4, 4), ones(1, 1, 3, 3), None, 1, 0, 1)),
    (ValueError, "running_mean", lambda: ct.batch_norm(ones(2, 2), None, None)),
    (ValueError, "more than 1 value", lambda: ct.batch_norm(ones(1, 2), None, None, training=True)),
    (TypeError, "torch.nn.Module", lambda: ct.convert(ones(1))),
]  # fmt: skip


@pytest.mark.parametrize(("error", "message", "call"), BAD, ids=[f"{i}-{case[1]}" for i, case in enumerate(BAD)])
def test_bad_input(error: type[Exception], message: str, call: Callable[[], Any]) -> None:
    with pytest.raises(error, match=message):
        call()


def test_autocast_computes_in_float32() -> None:
    x, weight = torch.randn(1, 3, 5, 5).bfloat16(), torch.randn(2, 3, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        y = ct.conv2d(x, weight)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, F.conv2d(x.float(), weight), rtol=1e-5, atol=1e-5)


def test_torch_sees_every_call() -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    seen = []

    class See(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    x, weight = torch.randn(1, 1, 4, 4), torch.nn.Parameter(torch.randn(1, 1, 3, 3))
    with torch.no_grad():
        ct.conv2d(x, weight)
        with See():
            ct.conv2d(x, weight)
    assert "cnnfast.conv2d.default" in seen
    assert ct.conv2d(x.to("meta"), weight.to("meta")).shape == (1, 1, 2, 2)


@pytest.mark.parametrize("module", [functional, modules, torch_weights], ids=lambda module: module.__name__)
def test_examples_run(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_without_torch_the_import_says_what_to_install() -> None:
    lines = "import sys; sys.modules['torch'] = None", "import cnnfast.interop.torch"
    done = subprocess.run([sys.executable, "-P", "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert 'pip install "cnnfast[torch]"' in done.stderr
