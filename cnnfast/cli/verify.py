"""`cnnfast verify`: random problems on every algorithm and instruction set, against the float64 oracle."""

import argparse

from cnnfast.cli import values
from cnnfast.cli.console import Console


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("verify", help="check this installation on random problems", description=__doc__)
    parser.add_argument("--cases", type=values.count, default=2000, metavar="N", help="default 2000")
    parser.add_argument("--seed", type=values.natural, default=0, metavar="S", help="default 0")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    from cnnfast.verification import verify  # heavy, and the other commands do not need it

    progress = Console().progress(arguments.cases)
    try:
        found = verify(arguments.cases, arguments.seed, progress=lambda done, _: progress.reach(done, "cases"))
    finally:
        progress.close()
    print(found)
    return 0 if found.ok else 1
