"""direct: the row of implicit products without tensor cores, exact in float32 and float64."""

from cnnfast.backends.cuda.kernel import Plan, Row
from cnnfast.backends.cuda.problem import Conv

from .product import Setting, forward, settings, takes
from .product import plan as product_plan


def plan(problem: Conv, tile: Setting) -> Plan:
    """The weights in order, the product, and the sum of its parts."""
    return product_plan(forward(problem), tile)


ROW = Row("direct", takes, plan, lambda problem: settings(forward(problem)))
