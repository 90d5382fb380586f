"""Which rows sum each output in order, and what the others may err."""

from collections.abc import Callable

from cnnfast.verification.case import Case
from cnnfast.verification.expected import Expected
from cnnfast.verification.expected_fft import with_fft
from cnnfast.verification.expected_winograd import with_winograd

_TRANSFORMED: dict[str, Callable[[Case, str, Expected], Expected]] = {
    "fft": with_fft,
    **dict.fromkeys(("winograd_f23", "winograd_f43", "winograd_f63", "winograd_f25", "winograd_stem"), with_winograd),
}


def is_chain(algorithm: str) -> bool:
    """Whether this row, named, sums each output in order, so that all such rows give the same bits."""
    return algorithm not in _TRANSFORMED and algorithm != "auto"


def expected_by(algorithm: str, case: Case, right: Expected) -> Expected:
    """What `right`, a chain's answer to the case, becomes for this row."""
    return _TRANSFORMED[algorithm](case, algorithm, right) if algorithm in _TRANSFORMED else right
