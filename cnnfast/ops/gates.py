"""The smooth activations: sigmoid, tanh, gelu, silu, mish, softplus."""

from numpy.typing import ArrayLike

from cnnfast.ops import checks
from cnnfast.ops.arrays import Array
from cnnfast.ops.pointwise import activate


def sigmoid(x: ArrayLike, *, out: Array | None = None) -> Array:
    """1 / (1 + exp(-x)).

    Parameters
    ----------
    x, out : see `relu`

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    As `relu`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.sigmoid(np.array([-np.inf, 0.0, np.inf])).tolist()
    [0.0, 0.5, 1.0]
    """
    return activate("sigmoid", x, out)


def tanh(x: ArrayLike, *, out: Array | None = None) -> Array:
    """The hyperbolic tangent.

    Parameters
    ----------
    x, out : see `relu`

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    As `relu`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.tanh(np.array([-np.inf, 0.0, np.inf])).tolist()
    [-1.0, 0.0, 1.0]
    """
    return activate("tanh", x, out)


def gelu(x: ArrayLike, approximate: str = "none", *, out: Array | None = None) -> Array:
    """x * Phi(x), Phi the normal distribution function.

    Within 4 ulp; by "tanh" below 0 within 4 + 2|z| ulp, z = 2 * sqrt(2/pi) * (x + 0.044715 * x**3).

    Parameters
    ----------
    x, out : see `relu`
    approximate : "none" (exact, by erf), or "tanh": x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x**3)))

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    As `relu`; approximate must be "none" or "tanh".

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.gelu(np.array([0.0, 1.0])).round(4).tolist()
    [0.0, 0.8413]
    >>> cnnfast.gelu(np.array([0.0, 1.0]), "tanh").round(4).tolist()
    [0.0, 0.8412]

    References
    ----------
    Hendrycks and Gimpel, arXiv:1606.08415.
    """
    kind = checks.choice("approximate", approximate, ("none", "tanh"))
    return activate("gelu" if kind == "none" else "gelu_tanh", x, out)


def silu(x: ArrayLike, *, out: Array | None = None) -> Array:
    """x * sigmoid(x), also called swish.

    Parameters
    ----------
    x, out : see `relu`

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    As `relu`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.silu(np.array([0.0, 1.0])).round(4).tolist()
    [0.0, 0.7311]

    References
    ----------
    Elfwing et al., arXiv:1702.03118.
    """
    return activate("silu", x, out)


def mish(x: ArrayLike, *, out: Array | None = None) -> Array:
    """x * tanh(softplus(x)).

    Parameters
    ----------
    x, out : see `relu`

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    As `relu`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.mish(np.array([0.0, 1.0])).round(4).tolist()
    [0.0, 0.8651]

    References
    ----------
    Misra, arXiv:1908.08681.
    """
    return activate("mish", x, out)


def softplus(x: ArrayLike, beta: float = 1.0, threshold: float = 20.0, *, out: Array | None = None) -> Array:
    """log(1 + exp(beta * x)) / beta.

    Within 4 ulp; with a beta that is no power of 2, below 0 within 4 + |beta * x|.

    Parameters
    ----------
    x, out : see `relu`
    beta : > 0; a larger one is nearer to relu
    threshold : where beta * x is above it, y is x, as torch has it

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    As `relu`; beta must be finite and > 0, threshold finite.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.softplus(np.array([0.0, 30.0])).round(4).tolist()
    [0.6931, 30.0]
    """
    steepness = checks.number("beta", beta, positive=True)
    return activate("softplus", x, out, steepness, checks.number("threshold", threshold))
