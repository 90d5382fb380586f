"""`cnnfast explain`: which algorithm a layer gets, why, and what the others would cost."""

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cnnfast
from cnnfast.bench import engine, problems
from cnnfast.bench.problem import CONVOLUTIONS
from cnnfast.cli import values
from cnnfast.ops import options

EXAMPLES = """examples:
  cnnfast explain conv2d 1x56x56x64 64 --kernel 3 --padding 1
  cnnfast explain depthwise_conv2d 1x112x112x32 --kernel 3 --stride 2 --padding same --multiplier 2
  cnnfast explain rn50_conv1_7x7s2          a layer of the benchmark, by name
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "explain", help="the algorithm of one layer, and what the others would cost", description=__doc__,
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("op", help=f"{', '.join(CONVOLUTIONS)}; or the name of a layer of the benchmark")
    parser.add_argument("input", nargs="?", type=values.shape, help="shape of x in the layout's order: 1x56x56x64")
    parser.add_argument("filters", nargs="?", type=values.count, help="output channels (not for depthwise_conv2d)")
    parser.add_argument("--kernel", type=values.pair, default=3, help="height x width, as 3 or 1x7 (default 3)")
    parser.add_argument("--stride", type=values.pair, default=1, help="default 1")
    parser.add_argument("--padding", type=values.padding, default=0, help="1, 0x3, 0,1,0,1, same or valid (default 0)")
    parser.add_argument("--dilation", type=values.pair, default=1, help="default 1")
    parser.add_argument("--groups", type=int, default=1, help="conv2d and conv_transpose2d (default 1)")
    parser.add_argument("--multiplier", type=values.count, default=1, help="depthwise and separable (default 1)")
    parser.add_argument("--output-padding", type=values.pair, default=0, help="conv_transpose2d (default 0)")
    parser.add_argument("--padding-mode", default="zeros", help="zeros, reflect, replicate or circular")
    parser.add_argument("--activation", help=", ".join(options.ACTIVATIONS))
    parser.add_argument("--layout", default="NHWC", choices=("NHWC", "NCHW"))
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64", "int8", "uint8", "int16", "int32"))
    parser.add_argument("--algorithm", default="auto", help="force a row of the table, or tune")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.input is None:
        print(explain_layer(arguments.op, arguments.algorithm))
    elif arguments.op in CONVOLUTIONS:
        print(make_plan(arguments).explain())
    else:
        raise ValueError(f"op must be one of {', '.join(CONVOLUTIONS)}, got {arguments.op!r}")
    return 0


def explain_layer(name: str, algorithm: str) -> str:
    """A layer of the shape files by its name."""
    named = {problem.name: problem for problem in problems.load()}
    if name in CONVOLUTIONS:
        raise ValueError(f"input must be given: cnnfast explain {name} 1x56x56x64 ...")
    if name not in named:
        raise ValueError(f"op must be one of {', '.join(CONVOLUTIONS)}, or a layer of the benchmark, got {name!r}")
    problem = named[name]
    return f"{problem.line}\n{engine.explain(problem, algorithm)}"


def make_plan(arguments: argparse.Namespace) -> Any:
    """The plan of the layer; its weights are zeros, since the choice never depends on them."""
    op = arguments.op
    weights = weights_of(arguments)
    settings: dict[str, Any] = {
        "stride": arguments.stride, "padding": arguments.padding, "dilation": arguments.dilation,
        "layout": arguments.layout, "activation": arguments.activation, "algorithm": arguments.algorithm,
        "dtype": arguments.dtype,
    }  # fmt: skip
    if op in ("conv2d", "conv_transpose2d"):
        settings["groups"] = arguments.groups
    if op == "conv_transpose2d":
        settings["output_padding"] = arguments.output_padding
    else:
        settings["padding_mode"] = arguments.padding_mode
    return getattr(cnnfast, f"plan_{op}")(arguments.input, *weights, **settings)


def weights_of(arguments: argparse.Namespace) -> list[NDArray[Any]]:
    """Zeros in the layout's weight order."""
    op, k, groups, m = arguments.op, arguments.filters, arguments.groups, arguments.multiplier
    nhwc = arguments.layout == "NHWC"
    c = arguments.input[3 if nhwc else 1]
    r, s = arguments.kernel if isinstance(arguments.kernel, tuple) else (arguments.kernel, arguments.kernel)
    if k is None and op != "depthwise_conv2d":
        raise ValueError(f"filters must be given for {op}")
    if k is not None and op == "depthwise_conv2d":
        raise ValueError(f"filters must not be given for depthwise_conv2d (--multiplier says them), got {k}")
    if groups < 1:
        raise ValueError(f"groups must be >= 1, got {groups}")
    shapes = {
        "conv2d": [(r, s, c // groups, k)],
        "conv_transpose2d": [(r, s, (k or 0) // groups, c)],
        "depthwise_conv2d": [(r, s, c, m) if nhwc else (r, s, 1, c * m)],
        "separable_conv2d": [(r, s, c, m) if nhwc else (r, s, 1, c * m), (1, 1, c * m, k)],
    }[op]
    order = (0, 1, 2, 3) if nhwc else (3, 2, 0, 1)
    return [np.zeros([shape[axis] for axis in order], arguments.dtype) for shape in shapes]
