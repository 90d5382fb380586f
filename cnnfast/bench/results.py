"""What a bench run found, as plain data: the JSON file holds exactly this."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .problem import Problem
from .problems import parse_line
from .roof import Roof

LAGS = 1.05  # the choice of algorithm is questioned where another one is faster by this much


@dataclass
class Timed:
    """One engine, or one algorithm of cnnfast, on one problem. `seconds` is the median; None where `note` says why.

    `bound_share` is the worst error over what it may be, `alarm_share` over what random data should give, `checked_on`
    the smaller picture where that was judged; `difference` is a peer's from ours, over our largest value.
    """

    engine: str
    algorithm: str = ""
    chosen: bool = False
    seconds: float | None = None
    fastest: float | None = None
    estimate: float | None = None
    samples: int = 0
    note: str = ""
    bound_share: float | None = None
    alarm_share: float | None = None
    checked_on: str = ""
    difference: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Timed":
        known = {each.name: data[each.name] for each in fields(cls)}
        numbers = ("bound_share", "alarm_share", "difference")  # an infinity or NaN of these was written as a word
        return cls(**known | {name: None if known[name] is None else float(known[name]) for name in numbers})


@dataclass
class Result:
    """One problem: cnnfast's algorithms, the peers, the NumPy reference, and the limits measured between them."""

    problem: Problem
    ours: list[Timed] = field(default_factory=list)
    peers: list[Timed] = field(default_factory=list)
    numpy: Timed | None = None
    peak_gflops: float | None = None
    copy_gbs: float | None = None
    rounds: int = 0

    @property
    def pick(self) -> Timed | None:
        """What `algorithm="auto"` ran."""
        return next((run for run in self.ours if run.chosen), None)

    @property
    def seconds(self) -> float | None:
        return self.pick.seconds if self.pick else None

    @property
    def best_row(self) -> Timed | None:
        timed = [run for run in self.ours if run.seconds is not None]
        return min(timed, key=lambda run: run.seconds or math.inf, default=None)

    @property
    def lag(self) -> float | None:
        """The time of auto's pick over the best row's."""
        if self.best_row is None or not self.best_row.seconds or not self.seconds:
            return None
        return self.seconds / self.best_row.seconds

    @property
    def faster_row(self) -> Timed | None:
        """The row that auto should have picked, if there is one."""
        return self.best_row if self.lag and self.lag > LAGS else None

    @property
    def best_peer(self) -> Timed | None:
        timed = [run for run in self.peers if run.seconds is not None]
        return min(timed, key=lambda run: run.seconds or math.inf, default=None)

    @property
    def ratio(self) -> float | None:
        """The best peer's time over ours: above 1 we are faster."""
        if self.best_peer is None or not self.best_peer.seconds or not self.seconds:
            return None
        return self.best_peer.seconds / self.seconds

    def gflops(self, seconds: float | None) -> float | None:
        return self.problem.flops / seconds * 1e-9 if seconds and self.problem.flops else None

    def gbs(self, seconds: float | None) -> float | None:
        return self.problem.bytes / seconds * 1e-9 if seconds else None

    def of_limit(self, seconds: float | None) -> float | None:
        """Share of the FMA peak, or of a copy of the same bytes where moving them is the work."""
        rate, limit = self.gflops(seconds), self.peak_gflops
        if self.problem.bandwidth_bound:
            rate, limit = self.gbs(seconds), self.copy_gbs
        return rate / limit if rate and limit else None

    def roof_seconds(self, roof: Roof, run: Timed | None = None) -> float:
        """The least time the machine's limits allow the definition, or an algorithm of ours that may multiply less."""
        problem, work = self.problem, run.facts.get("work", 1.0) if run else 1.0
        read = problem.bytes - problem.written_bytes
        if run and work != 1:
            read += run.facts["packed"] - problem.weight_bytes
        return roof.seconds(work * problem.flops, read, problem.written_bytes)

    @property
    def wrong(self) -> list[Timed]:
        return [run for run in self.ours if run.bound_share is not None and run.bound_share > 1]

    def as_json(self, roof: Roof | None = None) -> dict[str, Any]:
        """Every median, and what follows from them; `from_json` reads it."""
        derived = {
            "gflops": self.gflops(self.seconds), "gbs": self.gbs(self.seconds), "of_limit": self.of_limit(self.seconds),
            "ratio": self.ratio, "roof_seconds": self.roof_seconds(roof) if roof else None,
        }  # fmt: skip
        ours = [asdict(run) | {"roof_seconds": self.roof_seconds(roof, run) if roof else None} for run in self.ours]
        return {
            "network": self.problem.network, "name": self.problem.name, "problem": self.problem.line,
            "flops": self.problem.flops, "bytes": self.problem.bytes, "bandwidth_bound": self.problem.bandwidth_bound,
            **derived, "peak_gflops": self.peak_gflops, "copy_gbs": self.copy_gbs, "rounds": self.rounds,
            "ours": ours, "peers": [asdict(run) for run in self.peers],
            "numpy": asdict(self.numpy) if self.numpy else None,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Result":
        """What `as_json` gave; what follows from other figures is worked out again."""
        problem = parse_line(data["problem"], data["network"])
        if problem is None:
            raise ValueError(f"problem must be a line of the shape files, got {data['problem']!r}")
        ours, peers = ([Timed.from_json(each) for each in data[whose]] for whose in ("ours", "peers"))
        numpy = Timed.from_json(data["numpy"]) if data["numpy"] else None
        return cls(problem, ours, peers, numpy, data["peak_gflops"], data["copy_gbs"], data["rounds"])


@dataclass
class Summary:
    """A group of results in geometric means."""

    group: str
    layers: int
    of_limit: float | None
    worst_of_limit: float | None
    worst_layer: str
    ratio: float | None
    worst_ratio: float | None


def geomean(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return math.exp(sum(math.log(number) for number in numbers) / len(numbers)) if numbers else None


def kind_of(problem: Problem) -> str:
    """The group a problem is summed up in."""
    if problem.op != "conv2d":
        return problem.op
    if problem.groups > 1:
        return "conv2d grouped"
    if problem.kernel_size == (1, 1):
        return "conv2d 1x1"
    if problem.kernel_size == (3, 3) and problem.stride == (1, 1):
        return "conv2d 3x3"
    return "conv2d strided" if problem.stride != (1, 1) else "conv2d other"


def summarise(results: list[Result]) -> list[Summary]:
    """One line for each kind of layer, in the order they first appear, and one for all."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        if result.seconds is not None:
            groups.setdefault(kind_of(result.problem), []).append(result)
    if len(groups) > 1:
        groups["all"] = [result for members in groups.values() for result in members]
    return [_summary(group, members) for group, members in groups.items()]


def _summary(group: str, members: list[Result]) -> Summary:
    shares = [(share, each.problem.name) for each in members if (share := each.of_limit(each.seconds)) is not None]
    ratios = [each.ratio for each in members if each.ratio is not None]
    worst, layer = min(shares, default=(None, ""))
    return Summary(
        group, len(members), geomean(share for share, _ in shares), worst, layer, geomean(ratios),
        min(ratios, default=None),
    )  # fmt: skip
