"""The rows of the table of ops, by what they work on. Importing this puts them there."""

from cnnfast.graph.ops import arrays, dense, images, pointwise

__all__ = ["arrays", "dense", "images", "pointwise"]
