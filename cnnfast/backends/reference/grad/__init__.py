"""The oracle's gradients: each as the derivative of the op's definition, written out; float64, plain, never fast.

A function stands under the name it has in `cnnfast.grad`, and takes the normalised arguments of the oracle's ops.
"""
