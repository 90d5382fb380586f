"""direct: the row of implicit products without tensor cores, exact in float32 and float64.

Of few channels, a network's first layer, a slice of one tap would be mostly zeros. In a padded copy that lies as NHWC a
line of taps is S * C numbers in a row: they are taken for the channels of one tap. So the 7 x 7 taps of 3 channels make
21 slices instead of 49.
"""

from cnnfast.backends.cuda.kernel import GRID, Plan, Row
from cnnfast.backends.cuda.problem import Conv

from . import product
from .pack import packing
from .pad import padded, padding
from .product import LIMIT, Product, Setting, filled, forward, reach, settings


def joined(problem: Conv) -> bool:
    """Whether a line of taps is taken for one."""
    return problem.C <= 4 and problem.S > 1 and problem.dilation[1] == problem.groups == 1


def convolution(problem: Conv) -> Product:
    """The convolution itself, or of a copy with its border."""
    if not joined(problem):
        if problem.padding_mode == "zeros":
            return forward(problem)
        return forward(padded(problem)[0])._replace(arrays=("padded", "weight", "y"))
    line, row = problem.S * problem.C, -(problem.K // -4) * 4
    conv = padded(problem)[0]._replace(C=line, S=1, weight_strides=(line * row, 0, row, 1))
    return Product(conv, 0, arrays=("padded", "matrix", "y"), rounded=True)


def plan(problem: Conv, tile: Setting) -> Plan:
    """The copy with its border and the weights in order where they are needed, the product, the sum of its parts."""
    made = product.plan(convolution(problem), tile)
    if problem.padding_mode == "zeros" and not joined(problem):
        return made
    steps, scratch = [padding(problem, ("x", "padded"))], {"padded": (padded(problem)[1], problem.dtype)}
    if joined(problem):
        sizes = 1, problem.R, problem.S, problem.C, problem.K
        step, count, _ = packing(problem.dtype, ("weight", "matrix"), sizes, (0, *problem.weight_strides), 0)
        steps.append(step)
        scratch["matrix"] = count, problem.dtype
    return Plan((*steps, *made.steps), {**scratch, **made.scratch})


def fits(problem: Conv) -> bool:
    """Whether the arrays are within 32 bits, and the groups along an axis of a grid."""
    return problem.groups <= GRID[1] and max(*reach(problem), padded(problem)[1]) < LIMIT


def takes(problem: Conv) -> bool:
    """What fits, of groups that fill a tile somewhat: of a few channels each, "plain" reads less that it drops."""
    return fits(problem) and filled(problem)


ROW = Row("direct", takes, plan, lambda problem: settings(convolution(problem)))
