"""The problems of `cnnfast bench`: layers of published networks, read from shapes/*.txt, one problem a line.

The grammar is in shapes/README.md. Tests and benchmarks/ read the same files through `load` and `select`.
"""

import re
from collections.abc import Iterable
from importlib.resources import files

from .problem import CONVOLUTIONS, POOLS, Pair, Problem, Sides

__all__ = ["GrammarError", "Problem", "load", "parse", "parse_line", "select"]

WORDS = ("n", "h", "w", "c", "k", "r", "s", "stride", "pad", "dilation", "groups", "mult")


class GrammarError(ValueError):
    """A line that is no problem; the message names the file, the line and the rule."""


def parse_line(line: str, network: str = "") -> Problem | None:
    """The problem one line states; None for an empty line or a comment.

    >>> parse_line("stem: conv2d h224 c3 k64 r7 stride2 pad3").x_shape
    (1, 224, 224, 3)
    """
    text, _, comment = line.partition("#")
    if not text.strip():
        return None
    name, colon, rest = text.partition(":")
    words = rest.split()
    if not colon or not name.strip() or not words:
        raise GrammarError(f"a problem is `name: op h.. c.. k.. r..`, got {line.strip()!r}")
    op, *settings = words
    if op not in CONVOLUTIONS + POOLS:
        raise GrammarError(f"op must be one of {', '.join(CONVOLUTIONS + POOLS)}, got {op!r}")
    values: dict[str, tuple[int, ...]] = {}
    quick = False
    for setting in settings:
        if setting == "quick":
            quick = True
            continue
        word, numbers = _setting(setting)
        if word in values:
            raise GrammarError(f"{word} is given twice in {line.strip()!r}")
        values[word] = numbers
    return _problem(name.strip(), op, values, quick, network, comment.strip())


def _setting(text: str) -> tuple[str, tuple[int, ...]]:
    match = re.fullmatch(r"([a-z]+)(\d+(?:x\d+|(?:,\d+){3})?)", text)
    if match is None or match[1] not in WORDS:
        raise GrammarError(f"a setting is one of {', '.join(WORDS)} and its number, got {text!r}")
    numbers = tuple(int(number) for number in re.split("[x,]", match[2]))
    if len(numbers) > (4 if match[1] == "pad" else 2 if match[1] in ("stride", "dilation") else 1):
        raise GrammarError(f"{match[1]} takes fewer numbers, got {text!r}")
    return match[1], numbers


def _problem(
    name: str, op: str, values: dict[str, tuple[int, ...]], quick: bool, network: str, comment: str
) -> Problem:
    def one(word: str, default: int | None = None, least: int = 1) -> int:
        number = values.pop(word, (default,))[0]
        if number is None:
            raise GrammarError(f"{name}: {op} needs {word}")
        if number < least:
            raise GrammarError(f"{name}: {word} must be >= {least}, got {number}")
        return number

    def pair(word: str, default: Pair) -> Pair:
        numbers = values.pop(word, default)
        if min(numbers) < 1:
            raise GrammarError(f"{name}: {word} must be >= 1, got {min(numbers)}")
        return (numbers[0], numbers[-1])

    h, c = one("h"), one("c")
    w, n = one("w", h), one("n", 1)
    if op == "global_avg_pool2d":
        r, s = h, w
    else:
        r = one("r")
        s = one("s", r)
    multiplier = one("mult", 1) if op in ("depthwise_conv2d", "separable_conv2d") else 1
    k = one("k") if op in ("conv2d", "separable_conv2d", "conv_transpose2d") else c * multiplier
    groups = one("groups", 1) if op == "conv2d" else 1
    if c % groups or k % groups:
        raise GrammarError(f"{name}: groups must divide c and k, got groups {groups}, c {c}, k {k}")
    stride = pair("stride", (r, s) if op in POOLS else (1, 1))
    dilation = pair("dilation", (1, 1)) if op not in POOLS else (1, 1)
    padding = _sides(values.pop("pad", (0,)))
    if values:
        raise GrammarError(f"{name}: {op} takes no {', '.join(values)}")
    return Problem(
        name, op, h, w, c, k, r, s, n, stride, padding, dilation, groups, multiplier, quick, network, comment
    )  # fmt: skip


def _sides(numbers: tuple[int, ...]) -> Sides:
    if len(numbers) == 4:
        return ((numbers[0], numbers[1]), (numbers[2], numbers[3]))
    return ((numbers[0], numbers[0]), (numbers[-1], numbers[-1]))


def parse(text: str, network: str = "") -> list[Problem]:
    """Every problem of a file's text, in order; names must differ."""
    problems: dict[str, Problem] = {}
    for number, line in enumerate(text.splitlines(), 1):
        try:
            problem = parse_line(line, network)
            if problem is not None and problem.name in problems:
                raise GrammarError(f"the name {problem.name!r} is taken")
        except GrammarError as error:
            raise GrammarError(f"{network or 'text'}, line {number}: {error}") from None
        if problem is not None:
            problems[problem.name] = problem
    return list(problems.values())


def load() -> list[Problem]:
    """All problems that come with cnnfast, network by network."""
    folder = files(__package__) / "shapes"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".txt"))
    return [problem for name in names for problem in parse((folder / name).read_text(), name.removesuffix(".txt"))]


def select(pattern: str = "", problems: Iterable[Problem] | None = None) -> list[Problem]:
    """Problems whose name, `network/name` or op starts with what the regular expression says, in order.

    Raises:
        ValueError: the pattern is no regular expression, or finds nothing.
    """
    try:
        match = re.compile(pattern).match
    except re.error as error:
        raise ValueError(f"only must be a regular expression, got {pattern!r}: {error}") from None
    everything = load() if problems is None else problems
    found = [p for p in everything if match(p.name) or match(f"{p.network}/{p.name}") or match(p.op)]
    if not found:
        raise ValueError(f"only must match a layer, a network or an op of the shape files, got {pattern!r}")
    return found
