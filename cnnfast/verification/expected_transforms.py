"""Which rows sum each output in order, and what the others may err."""

from collections.abc import Callable

from cnnfast.verification.case import Case
from cnnfast.verification.expected import Expected
from cnnfast.verification.expected_fft import with_fft
from cnnfast.verification.expected_winograd import ROWS, with_winograd


def _as_a_chain(_case: Case, _algorithm: str, right: Expected) -> Expected:
    """Of a sum in parts, which are shorter chains than the one there would be."""
    return right


_OTHERS: dict[str, Callable[[Case, str, Expected], Expected]] = {
    "fft": with_fft,
    "narrow": _as_a_chain,
    **dict.fromkeys(ROWS, with_winograd),
}


def is_chain(algorithm: str) -> bool:
    """Whether this row, named, sums each output in order, so that all such rows give the same bits."""
    return algorithm not in _OTHERS and algorithm != "auto"


def expected_by(algorithm: str, case: Case, right: Expected) -> Expected:
    """What `right`, a chain's answer to the case, becomes for this row."""
    return _OTHERS[algorithm](case, algorithm, right) if algorithm in _OTHERS else right
