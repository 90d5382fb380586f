"""What each op reads of its pictures: which pixels, for each pixel that it gives."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.graph.table import CONVS, TABLE
from cnnfast.ops import checks, options, shapes
from cnnfast.ops.checks import Pair


class Span(NamedTuple):
    """Pixels along one axis, both ends counted; before 0 and behind the last one lies padding."""

    first: int
    last: int


class Reach(NamedTuple):
    """One axis of an op: output p reads the inputs from floor((p*step + first)/per) to floor((p*step + last)/per).

    beyond : for p to be there at all, inputs must be there up to floor((p*step + last + beyond)/per): a crop
    """

    step: int = 1
    per: int = 1
    first: int = 0
    last: int = 0
    beyond: int = 0

    def back(self, outputs: Span, there: bool = False) -> Span | None:
        """What some outputs read, or what must be `there` for them; None where that is nothing."""
        first = (outputs.first * self.step + self.first) // self.per
        last = (outputs.last * self.step + self.last + there * self.beyond) // self.per
        return Span(first, last) if first <= last else None


Reaches = tuple[Reach, Reach]
"""Of the height and of the width."""
HERE: Reaches = (Reach(), Reach())


def axes_of(layout: str) -> Pair:
    """Where the height and the width lie."""
    return (1, 2) if layout == "NHWC" else (2, 3)


class Place:
    """A node where it stands: what its rule asks."""

    def __init__(self, graph: Graph, node: Node, axes: dict[str, Pair]) -> None:
        self.graph, self.node = graph, node
        self.pictures = [value for value in dict.fromkeys(node.inputs) if value in axes]
        self.axes = axes[self.pictures[0]]
        self.target: Pair | None = None
        """The output's axes, where they are not the input's."""
        if any(axes[value] != self.axes for value in self.pictures):
            raise ValueError("its pictures lie in different layouts")

    def get(self, name: str, default: Any = None) -> Any:
        return self.node.attributes.get(name, default)

    def pair(self, name: str, default: Any) -> Pair:
        return checks.pair(name, self.get(name, default), 1)

    def spec(self, value: str) -> Spec:
        spec = self.graph.spec(value)
        if spec is None or len(spec.shape) != 4:
            raise ValueError("it reads what is no picture")
        return spec

    def size(self, value: str) -> Pair:
        """Height and width."""
        shape = self.spec(value).shape
        return shape[self.axes[0]], shape[self.axes[1]]

    def in_layout(self, given: Any) -> options.Layouts:
        """The node's layouts, which its picture must have."""
        order = options.layouts(given)
        if axes_of(order.x) != self.axes:
            raise ValueError(f"it reads {order.x}, and its picture lies otherwise")
        self.target = axes_of(order.y)
        return order

    def all(self, way: Reaches) -> dict[str, Reaches]:
        return dict.fromkeys(self.pictures, way)


Rule = Callable[[Place], dict[str, Reaches]]
RULES: dict[str, Rule] = {}
"""What each op reads of each of its pictures."""


def _rule(*ops: str) -> Callable[[Rule], Rule]:
    def put(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(ops, rule))
        return rule

    return put


def _window_of(place: Place) -> tuple[Pair, Pair, Pair, checks.Sides]:
    """Kernel, stride, dilation and padding of a convolution or pool, "same" worked out."""
    node = place.node
    order = place.in_layout(place.get("layout", "NHWC"))
    if node.op.endswith("_pool2d"):
        kernel = place.pair("kernel_size", None)
        stride = kernel if place.get("stride") is None else place.pair("stride", 1)
    else:
        shape = place.spec(node.inputs[1]).shape
        kernel = (shape[0], shape[1]) if order.weight == "NHWC" else (shape[2], shape[3])
        stride = place.pair("stride", 1)
    dilation = place.pair("dilation", 1)
    sides = checks.sides("padding", place.get("padding", 0))
    return kernel, stride, dilation, shapes.resolve(sides, place.size(node.inputs[0]), kernel, stride, dilation)


FILTERED = (*CONVS, "separable_conv2d", "batch_norm", "linear")
WINDOWS = ("conv2d", "depthwise_conv2d", "separable_conv2d", "max_pool2d", "min_pool2d", "avg_pool2d")


@_rule(*WINDOWS)
def _window(place: Place) -> dict[str, Reaches]:
    kernel, stride, dilation, sides = _window_of(place)
    mode = place.get("padding_mode", "zeros")
    ways = [
        _bordered(stride[i], -sides[i][0], dilation[i] * (kernel[i] - 1) - sides[i][0], sides[i], mode) for i in (0, 1)
    ]
    found = dict.fromkeys(place.pictures, HERE)  # a residual is read where it is added
    found[place.node.inputs[0]] = ways[0], ways[1]
    return found


def _bordered(step: int, first: int, last: int, sides: Pair, mode: str) -> Reach:
    """A window whose padding may repeat what lies within the picture."""
    if mode == "circular" and any(sides):
        raise ValueError("its padding is the picture's other side")
    if mode in ("reflect", "replicate") and any(sides):
        first, last = min(first, last - 2 * sides[1]), max(last, sides[0])
    return Reach(step, 1, first, last)


@_rule("pad2d")
def _pad(place: Place) -> dict[str, Reaches]:
    place.in_layout(place.get("layout", "NHWC"))
    sides = checks.sides("padding", place.get("padding"))
    assert sides != "same"
    down, across = (_bordered(1, -before, -before, (before, after), place.get("mode", "constant"))
                    for before, after in sides)  # fmt: skip
    return place.all((down, across))


@_rule("conv_transpose2d")
def _transposed(place: Place) -> dict[str, Reaches]:
    order = place.in_layout(place.get("layout", "NHWC"))
    shape = place.spec(place.node.inputs[1]).shape
    kernel = shape[:2] if order.weight == "NHWC" else shape[2:]
    stride, dilation = place.pair("stride", 1), place.pair("dilation", 1)
    sides = checks.sides("padding", place.get("padding", 0))
    extra = checks.pair("output_padding", place.get("output_padding", 0), 0)
    ways = []
    for i, (step, reach) in enumerate(zip(stride, (dilation[i] * (kernel[i] - 1) for i in (0, 1)), strict=True)):
        (before, after), more = (sides[i], extra[i]) if sides != "same" else shapes.transpose_same_padding(
            kernel[i], step, dilation[i])  # fmt: skip
        # output p = input * step + tap * dilation - before: the first input is a quotient rounded up
        cropped = after - reach - more + step - 1
        ways.append(Reach(1, step, before - reach + step - 1, before, max(0, cropped)))
    found = dict.fromkeys(place.pictures, HERE)
    found[place.node.inputs[0]] = ways[0], ways[1]
    return found


@_rule("upsample2d")
def _upsampled(place: Place) -> dict[str, Reaches]:
    place.in_layout(place.get("layout", "NHWC"))
    if place.get("align_corners", False):
        raise ValueError("where it reads depends on the whole picture's size (align_corners)")
    scale = place.pair("scale_factor", 2)
    if place.get("mode", "nearest") == "nearest":
        return place.all((Reach(1, scale[0]), Reach(1, scale[1])))
    if any(each & (each - 1) for each in scale):  # the place (p + 1/2) / scale - 1/2 is rounded, by where p is
        raise ValueError(f"bilinear weights of scale_factor {scale} are rounded by their place; 2, 4, 8 are exact")
    down, across = (Reach(2, 2 * each, 1 - each, 1 + each) for each in scale)
    return place.all((down, across))


@_rule("slice")
def _sliced(place: Place) -> dict[str, Reaches]:
    ways = [Reach(), Reach()]
    for axis, start, rest, step in bounds(place):
        if axis in place.axes:
            if step < 1:
                raise ValueError("it reads the picture backwards")
            ways[place.axes.index(axis)] = Reach(step, 1, start, start, rest)
        elif axis == 0:
            raise ValueError("it takes some pictures of the batch")
    return place.all((ways[0], ways[1]))


def bounds(place: Place) -> Iterator[tuple[int, int, int, int]]:
    """(axis, start, how much lies behind the stop, step) of a slice."""
    shape = place.spec(place.node.inputs[0]).shape
    told = (place.get(name) for name in ("axes", "starts", "stops", "steps"))
    for axis, *each in zip(*told, strict=True):
        start, stop, step = slice(*each).indices(shape[axis])
        yield axis % 4, start, shape[axis] - stop, step


@_rule("concatenate")
def _concatenated(place: Place) -> dict[str, Reaches]:
    if place.get("axis") % 4 in (*place.axes, 0):
        raise ValueError("it puts pictures beside each other")
    return _together(place)


@_rule("softmax", "log_softmax")
def _over_channels(place: Place) -> dict[str, Reaches]:
    if place.get("axis", -1) % 4 in (*place.axes, 0):
        raise ValueError("it goes along whole rows or columns")
    return place.all(HERE)


@_rule("batch_norm", "local_response_norm")
def _each_pixel(place: Place) -> dict[str, Reaches]:
    place.in_layout(place.get("layout", "NHWC"))
    return place.all(HERE)


@_rule("linear")
def _dense(place: Place) -> dict[str, Reaches]:
    if len(place.spec(place.node.inputs[0]).shape) - 1 in place.axes:
        raise ValueError("it reads whole rows")
    return place.all(HERE)


@_rule("transpose")
def _transpose(place: Place) -> dict[str, Reaches]:
    order = [axis % 4 for axis in place.get("axes")]
    place.target = order.index(place.axes[0]), order.index(place.axes[1])
    if order[0] != 0 or place.target not in ((1, 2), (2, 3)):
        raise ValueError("it turns the picture")
    return place.all(HERE)


@_rule("identity", "prelu")
def _together(place: Place) -> dict[str, Reaches]:
    """Of several pictures, pixel by pixel; constants must be the same for every pixel."""
    if len({place.size(value) for value in place.pictures}) > 1:
        raise ValueError("its pictures are of different sizes")
    for value in place.node.inputs:
        constant = place.graph.constants.get(value)
        if constant is not None:
            shape = (1,) * (4 - constant.ndim) + constant.shape
            if len(shape) > 4 or any(shape[axis] != 1 for axis in (0, *place.axes)):
                raise ValueError("it has a number of its own for each pixel or picture")
    return place.all(HERE)


REASONS = {
    "adaptive_avg_pool2d": "it reads the whole picture, or parts that depend on its size",
    "adaptive_max_pool2d": "it reads the whole picture, or parts that depend on its size",
    "reshape": "it puts the picture's pixels in another order, which a dense layer then reads as a whole",
    "flatten": "it puts all pixels in a row, which a dense layer then reads as a whole",
    "matmul": "it reads whole rows",
    "call": "it is a layer that no pass looks into",
}


def reaches_of(place: Place) -> dict[str, Reaches]:
    """What a node reads of each of its pictures.

    Raises
    ------
    ValueError : more than a window, or it is not known to read no more
    """
    op = place.node.op
    rule = RULES.get(op, _together if TABLE[op].pointwise else None)
    if rule is None:
        raise ValueError(REASONS.get(op, "it may read the whole picture: nothing is known of where it reads"))
    if op in FILTERED and any(value and value not in place.graph.constants for value in place.node.inputs[1:3]):
        raise ValueError("its weights must be constants")
    return rule(place)
