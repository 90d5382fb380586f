"""The command line: `cnnfast info | verify | explain | summary | run | bench | tune`."""

import argparse
import os
import sys
from collections.abc import Sequence

from cnnfast import __version__
from cnnfast.cli import bench, explain, info, run, summary, tune, verify

COMMANDS = (info, verify, explain, summary, run, bench, tune)


def parser() -> argparse.ArgumentParser:
    """The whole command line; each command's module adds its own part."""
    top = argparse.ArgumentParser(
        prog="cnnfast", description="A compiled convolution engine: what is here, whether it is right, how fast it is."
    )
    top.add_argument("--version", action="version", version=f"cnnfast {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status: 0 well, 1 something was found wrong, 2 the arguments cannot be met."""
    arguments = parser().parse_args(argv)
    try:
        status = int(arguments.run(arguments))
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # `cnnfast info | head`: who reads has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, TypeError, ImportError, MemoryError, OSError) as error:
        print(f"{arguments.parser.prog}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
