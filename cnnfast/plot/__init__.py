"""Pictures of networks, with matplotlib (the extra `plot`): filters, feature maps, the shapes of an architecture, how
training went, and which classes are taken for which.

Each function returns a `matplotlib.figure.Figure`: `figure.savefig("filters.png")`; a notebook shows it. Nothing here
touches pyplot's state.
"""

from cnnfast.plot.architecture import architecture
from cnnfast.plot.maps import feature_maps, filters
from cnnfast.plot.training import confusion, history

__all__ = ["architecture", "confusion", "feature_maps", "filters", "history"]
