"""The functional API: each op validates, normalises, and calls a backend.

`signatures.py` is the table of ops, `shapes.py` the only output-size and padding arithmetic in Python, `checks.py`,
`options.py` and `arrays.py` the door where every bad input gets its error, `dispatch.py` the way to a backend.
"""
