"""Gradients of the ops: from that of an op's output to those of its inputs. A file for each family, as in `ops`.

Every function takes grad_output, then the arrays of the forward op that it needs, then the op's own keywords; it gives
an array of the shape and dtype of what it is the gradient of. `table.py` says which function is the gradient of what.
"""
