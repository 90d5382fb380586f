"""Keras' table of a model: layer (type), output shape, parameters, and what each reads where that branches."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnfast.layers.base import Layer
from cnnfast.layers.tensor import Tensor

if TYPE_CHECKING:
    from cnnfast.model import Model

Row = list[str]
CHAIN = (("Layer (type)", 31), ("Output Shape", 22), ("Param #", 13))
GRAPH = (("Layer (type)", 25), ("Output Shape", 19), ("Param #", 12), ("Connected to", 17))
"""Columns and their least widths: they grow with what they hold, where Keras cuts it."""


def summary(model: "Model") -> str:
    """The whole text."""
    chain = is_chain(model)
    columns = CHAIN if chain else GRAPH
    rows = [row(model, layer, chain) for layer in model.layers]
    lines = [f'Model: "{model.name}"', *table([title for title, _ in columns], rows, [width for _, width in columns])]
    return "\n".join([*lines, *totals(model)])


def is_chain(model: "Model") -> bool:
    """Whether every layer reads the one before it and no other."""
    if not model.built:
        return True
    tensors = [layer_tensors(model, layer) for layer in model.layers]
    if any(len(each) > 1 for each in tensors):
        return False
    outputs = [each[0] for each in tensors if each]
    reads = [tensor for tensor in outputs if tensor.inputs and not any(tensor is begin for begin in model.inputs)]
    return all(
        len(tensor.inputs) == 1 and (i == 0 or tensor.inputs[0] is reads[i - 1]) for i, tensor in enumerate(reads)
    )


def layer_tensors(model: "Model", layer: Layer) -> list[Tensor]:
    """What a layer gives in the model: one tensor for each time it is called."""
    return [tensor for tensor in model.traced if tensor.layer is layer]


def row(model: "Model", layer: Layer, chain: bool) -> Row:
    """One layer; what Keras prints where the input's shape is not known yet."""
    if not model.built:
        return [layer.label, "?", "0 (unbuilt)"]
    tensors = layer_tensors(model, layer)
    cells = [layer.label, str(tensors[0].shape), f"{layer.count_params():,}"]
    if not chain:
        names = [each.layer.name for tensor in tensors for each in tensor.inputs]
        cells.append("\n".join(names) or "-")
    return cells


def table(titles: Sequence[str], rows: Sequence[Row], least: Sequence[int]) -> list[str]:
    """A table with a line around each cell; numbers (the third column) to the right; a cell may have several lines."""
    texts = [[title, *(line for row in rows for line in row[i].split("\n"))] for i, title in enumerate(titles)]
    widths = [max(w, *(len(text) for text in column)) for w, column in zip(least, texts, strict=True)]

    def rule(left: str, line: str, cross: str, right: str) -> str:
        return left + cross.join(line * (width + 2) for width in widths) + right

    def lines(cells: Sequence[str], bar: str) -> list[str]:
        split = [cell.split("\n") for cell in cells]
        height = max(map(len, split))
        return [
            bar + bar.join(
                f" {(part[i] if i < len(part) else ''):{'>' if column == 2 else '<'}{width}} "
                for column, (part, width) in enumerate(zip(split, widths, strict=True))
            ) + bar
            for i in range(height)
        ]  # fmt: skip

    result = [rule("┏", "━", "┳", "┓"), *lines(titles, "┃"), rule("┡", "━", "╇", "┩")]
    for i, cells in enumerate(rows):
        result += [rule("├", "─", "┼", "┤")] * (i > 0) + lines(cells, "│")
    return [*result, rule("└", "─", "┴", "┘")]


def totals(model: "Model") -> list[str]:
    """The three lines below the table; a float32 parameter is 4 bytes."""
    if not model.built:
        counts = [0, 0, 0]
    else:
        total, trainable = model.count_params(), sum(weight.size for weight in model.trainable_weights)
        counts = [total, trainable, total - trainable]
    titles = ("Total params", "Trainable params", "Non-trainable params")
    return [f" {title}: {count:,} ({size(count * 4)})" for title, count in zip(titles, counts, strict=True)]


def size(count: int) -> str:
    """Bytes as Keras writes them.

    >>> size(246824), size(0)
    ('241.04 KB', '0.00 B')
    """
    amount, unit = float(count), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.2f} {unit}"
