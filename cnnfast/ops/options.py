"""The choices shared by the ops: layout, activation, precision, workspace."""

import os
from typing import Any, Final, NamedTuple

from cnnfast.ops import checks

LAYOUTS: Final = ("NHWC", "NCHW")
AXES: Final = {"NHWC": "N, H, W, C", "NCHW": "N, C, H, W"}
PADDING_MODES: Final = ("zeros", "reflect", "replicate", "circular")
PRECISIONS: Final = ("default", "strict", "fast")
ACTIVATIONS: Final = (
    "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "gelu", "silu", "hardswish",
    "elu", "selu", "hardsigmoid", "gelu_tanh", "mish", "softplus",
)  # fmt: skip
INTEGER_ACTIVATIONS: Final = (None, "relu", "relu6")
"""Those that map integers to integers."""
ALPHAS: Final = {"leaky_relu": 0.01, "elu": 1.0}
"""The parameter of those that have one, where none is given: torch's."""

Activation = str | tuple[str, float] | None
"""How users write one; normalised it is (name or None, alpha)."""


class Layouts(NamedTuple):
    """Where a network's edges or weights lie otherwise than its middle: what plans of one convolution or pool take as
    `layout`. A residual lies as y does.

    >>> Layouts("NCHW", "NCHW", "NHWC").told
    {'layout': 'NCHW', 'weight_layout': 'NCHW', 'output_layout': 'NHWC'}
    """

    x: str
    weight: str
    y: str

    @property
    def told(self) -> dict[str, Any]:
        """As the backend is told: a problem of one layout has one name for it."""
        rest = {} if self.x == self.weight == self.y else {"weight_layout": self.weight, "output_layout": self.y}
        return {"layout": self.x, **rest}


def layout(value: object) -> str:
    """The order of the axes: NHWC or NCHW."""
    return checks.choice("layout", value, LAYOUTS)


def layouts(value: object) -> Layouts:
    """The order of the axes of each: a layout for all, or `Layouts`."""
    return Layouts(*map(layout, value if isinstance(value, Layouts) else (value,) * 3))


def activation(name: str, value: object) -> tuple[str | None, float]:
    """(name or None, alpha) of an activation argument called `name`.

    >>> activation("activation", "relu"), activation("activation", ("leaky_relu", 0.2))
    (('relu', 0.0), ('leaky_relu', 0.2))
    """
    if value is None:
        return None, 0.0
    if isinstance(value, tuple | list):
        if len(value) != 2 or not isinstance(value[0], str) or value[0] not in ALPHAS:
            raise ValueError(f'{name} must be a name or ("leaky_relu", slope) or ("elu", alpha), got {value!r}')
        return value[0], checks.number(f"{name}'s slope" if value[0] == "leaky_relu" else f"{name}'s alpha", value[1])
    chosen = checks.choice(name, value, ACTIVATIONS)
    return chosen, ALPHAS.get(chosen, 0.0)


def precision(value: object) -> str:
    """The precision asked for; "default" reads CNNFAST_PRECISION."""
    chosen = checks.choice("precision", value, PRECISIONS)
    if chosen == "default":
        return checks.choice("CNNFAST_PRECISION", os.environ.get("CNNFAST_PRECISION") or "default", PRECISIONS)
    return chosen


def max_workspace(value: object, name: str = "max_workspace") -> int:
    """Bytes a plan and its run may take, 0 for no limit (as the backends say it): None is no limit, and 0 of the user
    allows none."""
    if value is None:
        return 0
    return max(1, checks.integer(name, value, minimum=0, limit=2**63))
