"""Which engines are here: in this interpreter, or in another one that the user names."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass

from .peers import PEERS, Peer

PEER_PYTHON = "CNNFAST_PEER_PYTHON"
LOOK = (
    "import importlib.util, json, sys\n"
    "print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name)]))"
)


@dataclass(frozen=True)
class Seat:
    """A peer that was asked for, and the interpreter that has it; `python` is empty where none has."""

    peer: Peer
    python: str

    @property
    def missing(self) -> str:
        return "" if self.python else f"not installed: pip install {self.peer.install}"


def choose(names: str | None, peer_python: str | None = None) -> list[Seat]:
    """The peers of a comma-separated list ("none" for none, None for all that are known), each with its interpreter.

    Raises:
        ValueError: an unknown name, or an interpreter that does not run.
    """
    if names is not None and names.strip().lower() in ("", "none"):
        return []
    known = {peer.name: peer for peer in PEERS}
    wanted = list(known) if names is None else [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            raise ValueError(f"peers must be none or some of {', '.join(known)}, got {name!r}")
    other = peer_python or os.environ.get(PEER_PYTHON) or ""
    there = modules_of(other) if other else set()
    return [Seat(known[name], _interpreter(known[name], other, there)) for name in dict.fromkeys(wanted)]


def _interpreter(peer: Peer, other: str, there: set[str]) -> str:
    if all(module in there for module in peer.modules):
        return other
    if all(importlib.util.find_spec(module) for module in peer.modules):
        return sys.executable
    return ""


def modules_of(python: str) -> set[str]:
    """The peers' modules another interpreter can import."""
    modules = [module for peer in PEERS for module in peer.modules]
    try:
        done = subprocess.run([python, "-c", LOOK, *modules], capture_output=True, text=True, timeout=60, check=True)
        return set(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ValueError(f"peer-python must be a Python interpreter that runs, got {python!r}: {error}") from None
