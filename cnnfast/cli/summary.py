"""`cnnfast summary`: a network's layers, output shapes and parameters."""

import argparse
from pathlib import Path

from cnnfast.models import MODELS


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "summary", help="the layers, shapes and parameters of a network", description=__doc__,
        epilog=f"networks: {', '.join(MODELS)}",
    )  # fmt: skip
    parser.add_argument("model", help="the network's name")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw its architecture (PNG, SVG or PDF)")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.model not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}, got {arguments.model!r}")
    model = MODELS[arguments.model]()
    model.summary()
    if arguments.plot is not None:
        from cnnfast import plot

        plot.architecture(model).savefig(arguments.plot)
    return 0
