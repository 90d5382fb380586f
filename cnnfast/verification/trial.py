"""One case, tried on every instruction set, algorithm and layout, judged by the oracle, and held to its promises.

The promises (same bits): across layouts, algorithms of a chain and instruction sets with FMA; from a plan and from one
call; on 1, 2 and 3 threads; for an image alone and in its batch; whatever the alignment; run after run.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from cnnfast.backends import native
from cnnfast.ops import dispatch
from cnnfast.verification import judge
from cnnfast.verification.case import Array, Case, in_layout, layouts
from cnnfast.verification.expected import Expected
from cnnfast.verification.expected_dense import expected_of
from cnnfast.verification.expected_transforms import expected_by, is_chain
from cnnfast.verification.run import CHOOSES, Call, Output, Problem, make_plan, plannable, run

WITHOUT_FMA = ("baseline",)

Combination = tuple[str, str, str]
"""(ISA, algorithm, layout)"""


class Trial:
    """The trial of one case. After `go`: `counts` of judged runs by (op, algorithm, layout, dtype, ISA), `promises`
    kept or broken by name, and what was wrong, by the part of the contract it breaks."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.counts: Counter[tuple[str, str, str, str, str]] = Counter()
        self.promises: Counter[str] = Counter()
        self.out_of_bound: list[str] = []
        self.broken: list[str] = []
        self.other: list[str] = []
        self._right = Expected(np.empty(0), None)
        self._inputs = {layout: in_layout(case, layout) for layout in layouts(case.op)}
        self._approved: list[tuple[bool, Output]] = []
        self._outputs: dict[Combination, Output] = {}

    def go(self) -> "Trial":
        try:
            self._right = expected_of(self.case)
        except Exception as error:
            self.other.append(f"the oracle: {type(error).__name__}: {error}")
            return self
        pristine = {layout: _bytes(inputs) for layout, inputs in self._inputs.items()}
        with restored_settings():
            native.set_num_threads(1)
            for isa in native.isas():
                native.set_isa(isa)
                for algorithm in _algorithms(self.case):
                    for layout in self._inputs:
                        self._combination((isa, algorithm, layout))
            if self._outputs:
                self._more()
        if any(_bytes(inputs) != pristine[layout] for layout, inputs in self._inputs.items()):
            self.other.append("an input was modified")
        return self

    @property
    def failures(self) -> list[str]:
        return self.out_of_bound + self.broken + self.other

    def _combination(self, at: Combination) -> None:
        output = self._run(at, " ".join(at))
        if output is None:
            return
        isa, algorithm, layout = at
        self._outputs[at] = output
        if output.y.size:
            self.counts[self.case.label, algorithm, layout, self.case.dtype.name, isa] += 1
        rows = [
            self._outputs[isa, row, layout]
            for row in _algorithms(self.case)[:-1]
            if (isa, row, layout) in self._outputs
        ]
        if algorithm == "auto" and rows and not any(_same(output, row, self.case.zero_sign) for row in rows):
            self.broken.append(f"auto: {' '.join(at)} has the bits of none of the rows")
        for promise, other in list(_counterparts(at, self._outputs)):
            self._compare(promise, output, self._outputs[other], f"{' '.join(at)} and {' '.join(other)}")

    def _run(self, at: Combination, told: str, **how: Any) -> Output | None:
        """Run and judge; None where the algorithm does not take the problem, or no output came."""
        isa, algorithm, layout = at
        shape = self._right.value.shape
        inputs = how.pop("inputs", self._inputs[layout])
        if inputs is not self._inputs[layout]:  # one image
            shape = (1, *shape[1:])
        try:
            output = run(self.case, inputs, shape, Call(layout, algorithm, **how))
        except Problem as problem:
            self.other.append(f"{told}: {problem}")
            return None
        except Exception as error:
            if not str(error).startswith(f'algorithm "{algorithm}" does not take this problem'):
                self.other.append(f"{told}: {type(error).__name__}: {error}")
            return None
        if shape == self._right.value.shape:
            self._judge(output, isa, algorithm, told)
        return output

    def _judge(self, output: Output, isa: str, algorithm: str, told: str) -> None:
        """Bits that were right before are right, but for those that only an ISA without FMA may have."""
        fused = isa not in WITHOUT_FMA
        if any(tight >= fused and _same(output, approved) for tight, approved in self._approved):
            return
        right = expected_by(algorithm, self.case, self._right)
        fault = judge.fault(output.y, output.indices, right, fused, self.case.zero_sign)
        if fault:
            self.out_of_bound.append(f"{told}: {fault}")
        else:
            self._approved.append((fused, output))

    def _compare(self, promise: str, output: Output, other: Output, told: str) -> None:
        self.promises[promise] += 1
        if not _same(output, other, zero_sign=self.case.zero_sign or promise != "algorithms"):
            count = judge.different(output.y, other.y).sum()
            self.broken.append(f"{promise}: {told} differ in {count} of {output.y.size} numbers")

    def _more(self) -> None:
        """The promises that one combination, drawn by the case's number, stands for."""
        combinations = sorted(self._outputs)
        at = combinations[self.case.index % len(combinations)]
        output = self._outputs[at]
        native.set_isa(at[0])
        try:
            plan = make_plan(self.case, self._inputs[at[2]], at[2], at[1]) if plannable(self.case) else None
        except Exception as error:
            self.other.append(f"{' '.join(at)}, its plan: {type(error).__name__}: {error}")
            return
        if plan and at[1] == "auto":  # which may choose otherwise where packing is for one run
            first = self._run(at, f"{' '.join(at)}, its plan", plan=plan)
        else:
            first = self._same(output, at, "a plan and one call", plan=plan) if plan else output
        if first is None:
            return
        self._same(first, at, "run after run", plan=plan)
        self._same(first, at, "any alignment", plan=plan, offset=1 + self.case.index % 15)
        self._same_alone(first, at, plan)
        if self.case.large:
            for threads in (2, 3):
                native.set_num_threads(threads)
                self._same(first, at, "any number of threads", plan=plan)

    def _same(self, output: Output, at: Combination, promise: str, **how: Any) -> Output | None:
        again = self._run(at, f"{' '.join(at)}, {promise}", **how)
        if again is not None:
            self._compare(promise, again, output, " ".join(at))
        return again

    def _same_alone(self, whole: Output, at: Combination, plan: Any) -> None:
        batched = self.case.batched
        N = len(self.case.x) if batched else 0
        if N < 2:
            return
        image = slice(self.case.index % N, self.case.index % N + 1)
        inputs = {
            name: array[image] if array is not None and name in batched else array
            for name, array in self._inputs[at[2]].items()
        }
        alone = self._run(at, f"{' '.join(at)}, alone", plan=plan, inputs=inputs)
        if alone is not None:
            part = Output(whole.y[image], None if whole.indices is None else whole.indices[image])
            self._compare("alone and in a batch", alone, part, " ".join(at))


def _algorithms(case: Case) -> tuple[str, ...]:
    rows = dispatch.algorithms(case.op)
    if case.op in CHOOSES:
        return (*rows, "auto")
    return rows if len(rows) == 1 else ("auto",)


def _counterparts(at: Combination, known: dict[Combination, Output]) -> Iterator[tuple[str, Combination]]:
    """For each promise the first combination that differs from `at` in that alone."""
    isa, algorithm, layout = at
    seen = set()
    for other in known:
        differs = [other[0] != isa, other[1] != algorithm, other[2] != layout]
        name = ("instruction sets", "algorithms", "layouts")[differs.index(True)] if sum(differs) == 1 else None
        if name is None or name in seen:
            continue
        if name == "algorithms" and not (is_chain(algorithm) and is_chain(other[1])):
            continue
        if name == "instruction sets" and (isa in WITHOUT_FMA or other[0] in WITHOUT_FMA):
            continue
        seen.add(name)
        yield name, other


def _same(a: Output, b: Output, zero_sign: bool = True) -> bool:
    if not judge.same_bits(a.y, b.y) and (zero_sign or not judge.same_bits(a.y + 0, b.y + 0)):
        return False
    return a.indices is None or b.indices is None or np.array_equal(a.indices, b.indices)


def _bytes(inputs: dict[str, Array | None]) -> list[bytes]:
    return [each.tobytes() for each in inputs.values() if each is not None]


@contextmanager
def restored_settings() -> Iterator[None]:
    """The threads and the instruction set stay as the caller has them."""
    isa, threads = native.isa(), native.get_num_threads()
    try:
        yield
    finally:
        native.set_isa(isa)
        native.set_num_threads(threads)
