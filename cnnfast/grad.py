"""Gradients of the ops, as functions: what `backprop` of a layer is made of.

For y = op(x, weight, ...) and grad_output, the gradient of some number with respect to y, each function gives that
number's gradient with respect to one input: `cnnfast.grad.conv2d_weight` with respect to conv2d's weight. They take the
op's own keywords.
"""

__all__: list[str] = []
