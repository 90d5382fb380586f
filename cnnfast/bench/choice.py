"""How well auto chooses: its pick against the best row of the table, layer by layer."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .results import LAGS, Result


@dataclass(frozen=True)
class Miss:
    """A layer whose pick another row beat by more than 5%. Seconds are medians."""

    layer: str
    pick: str
    seconds: float
    best: str
    best_seconds: float


@dataclass(frozen=True)
class Choice:
    """Of `layers` that were timed, auto's pick was within 5% of the best row on all but the misses, the worst first."""

    layers: int
    misses: tuple[Miss, ...]

    @property
    def within(self) -> int:
        return self.layers - len(self.misses)

    @property
    def share(self) -> float | None:
        return self.within / self.layers if self.layers else None

    def as_json(self) -> dict[str, Any]:
        misses = [asdict(miss) for miss in self.misses]
        return {"layers": self.layers, "within": self.within, "share": self.share, "lags": LAGS, "misses": misses}


def choice_of(results: Sequence[Result]) -> Choice:
    timed = [(result, result.lag) for result in results if result.lag is not None]
    late = sorted((each for each in timed if each[0].faster_row), key=lambda each: each[1] or 0.0, reverse=True)
    return Choice(len(timed), tuple(_miss(result) for result, _ in late))


def _miss(result: Result) -> Miss:
    pick, best = result.pick, result.best_row
    assert pick is not None
    assert best is not None
    return Miss(result.problem.name, pick.algorithm, pick.seconds or 0.0, best.algorithm, best.seconds or 0.0)
