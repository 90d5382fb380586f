"""`cnnfast.verify`: the installed kernels against the oracle, on seeded random problems.

`draw.py` makes a case of a seed and a number, `expected.py` asks the oracle and works out the bound, `trial.py` runs
the case on every instruction set, algorithm and layout and holds it to the same-bits promises, `report.py` counts.
The judge is `backends/reference` alone.
"""

import time
from collections.abc import Callable

from cnnfast.backends import native
from cnnfast.ops import checks
from cnnfast.verification.draw import draw
from cnnfast.verification.report import Report
from cnnfast.verification.trial import Trial

__all__ = ["Report", "Trial", "draw", "verify"]


def verify(cases: int = 2000, seed: int = 0, *, progress: Callable[[int, int], None] | None = None) -> Report:
    """Try the installed kernels on this machine against the oracle, on seeded random problems.

    Parameters
    ----------
    cases : how many problems; each is run on every algorithm, layout and instruction set that this machine has
    seed : the same seed gives the same problems
    progress : called now and then with (cases done, cases)

    Returns
    -------
    A report with the counts: `print` it. It is true where nothing was found.

    Raises
    ------
    ValueError, TypeError : cases is not an integer >= 1, or seed not one >= 0

    Examples
    --------
    >>> from cnnfast.verification import verify
    >>> verify(cases=2, seed=1).ok
    True
    """
    cases = checks.integer("cases", cases, minimum=1)
    seed = checks.integer("seed", seed, minimum=0, limit=2**63)
    report = Report(seed, native.isas())
    start = time.monotonic()
    for index in range(cases):
        report.add(Trial(draw(seed, index)).go())
        if progress and (index + 1) % 100 == 0:
            progress(index + 1, cases)
    report.seconds = time.monotonic() - start
    return report
