"""Which of several ways is the fastest, measured in turns: what slows the machine down slows all of them."""

import time
from collections.abc import Callable, Mapping

_SAMPLE_S = 2e-4  # as long as a sample is at least
_SPENT_S = 0.05  # on one candidate, about
_FEWEST, _MOST = 3, 30  # rounds
_HOPELESS = 3.0  # times the fastest first run: no more turns


def fastest(runs: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of each run, the least of its turns. Each has one that does not count, unless it is hopelessly slow."""
    first = {name: _seconds(run, 1) for name, run in runs.items()}
    least = min(first.values())
    for name, seconds in first.items():
        if seconds <= 10 * least or seconds < 1e-3:  # the first run met cold caches and new pages
            first[name] = _seconds(runs[name], 1)
    least = min(first.values())
    best = dict(first)
    left = {name: max(1, int(_SAMPLE_S / max(seconds, 1e-7))) for name, seconds in first.items()
            if seconds <= _HOPELESS * least}  # fmt: skip
    start = time.perf_counter()
    for done in range(1, _MOST + 1):
        for name, calls in left.items():
            best[name] = min(best[name], _seconds(runs[name], calls))
        if done >= _FEWEST and time.perf_counter() - start > _SPENT_S * len(left):
            break
    return best


def _seconds(run: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls
