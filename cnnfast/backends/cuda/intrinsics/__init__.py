"""The instructions that Numba has no word for: each an LLVM intrinsic or a line of PTX, with a Python twin that the
simulator runs. Values that stand in registers are tuples: Numba keeps them there, as it does not keep local arrays."""
