"""The ops on a CUDA device, by kernels in Numba CUDA.

A function here takes the device's arrays and the normalised arguments of the oracle's function of its name
(`backends.reference` describes them), checks nothing, and returns a new array of the caller's framework.
"""
