"""Which peers are asked for, and where they are."""

import sys

import pytest

from cnnfast.bench import found
from cnnfast.bench.peers import PEERS


def test_none_and_all() -> None:
    assert found.choose("none") == []
    assert [seat.peer for seat in found.choose(None)] == list(PEERS)
    assert [seat.peer.name for seat in found.choose("ncnn, torch,ncnn")] == ["ncnn", "torch"]


def test_an_unknown_peer_and_a_wrong_interpreter() -> None:
    with pytest.raises(ValueError, match=r"peers must be none or some of torch, .* got 'onedn'"):
        found.choose("onedn")
    with pytest.raises(ValueError, match="peer-python must be a Python interpreter"):
        found.choose("torch", "/no/such/python")


def test_a_missing_peer_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(found.PEER_PYTHON, raising=False)
    monkeypatch.setattr(found.importlib.util, "find_spec", lambda name: None)
    (seat,) = found.choose("onnxruntime")
    assert seat.python == ""
    assert seat.missing == "not installed: pip install onnxruntime onnx"


def test_another_interpreter_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "modules_of", lambda python: {"ncnn"})
    (seat,) = found.choose("ncnn", "/some/python")
    assert seat.python == "/some/python"
    assert found.modules_of(sys.executable) == {"ncnn"}


def test_an_interpreter_tells_what_it_has() -> None:
    assert found.modules_of(sys.executable) <= {module for peer in PEERS for module in peer.modules}
