"""`cnnfast info`: versions, the processor, the instruction sets, the threads."""

import argparse
import importlib.metadata

from cnnfast.bench import machine
from cnnfast.bench.limits import cache_sizes
from cnnfast.bench.peers import PEERS

EXTRAS = ("rich", "pillow", "matplotlib", "jinja2", "scikit-learn")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("info", help="versions, CPU, instruction sets, threads", description=__doc__)
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    facts = machine.facts()
    caches = ", ".join(f"{name} {size // 1024} KiB" for name, size in sorted(cache_sizes().items()))
    rows = [
        ("cnnfast", facts["cnnfast"]),
        ("Python", f"{facts['python']}, NumPy {facts['numpy']}"),
        ("system", f"{facts['system']}, {facts['machine']}"),
        ("CPU", f"{facts['cpu']}, {facts['cpus']} usable"),
        ("caches", f"{caches} (of one core)"),
        ("ISA", f"{facts['isa']} (this machine has {', '.join(facts['isas'])}; CNNFAST_ISA forces one)"),
        ("threads", f"{facts['threads']} (CNNFAST_NUM_THREADS or cnnfast.set_num_threads)"),
        ("extras", versions(EXTRAS)),
        ("peers", versions([name for peer in PEERS for name in peer.install.split()])),
    ]
    for name, value in rows:
        print(f"{name:<9}{value}")
    return 0


def versions(distributions: "list[str] | tuple[str, ...]") -> str:
    """What is installed of these, without importing it."""
    found = []
    for name in distributions:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} -")
    return ", ".join(found)
