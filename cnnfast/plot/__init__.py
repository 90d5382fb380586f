"""Pictures of networks, with matplotlib (the extra `plot`): filters, feature maps, the shapes of an architecture.

Each function returns a `matplotlib.figure.Figure`: `figure.savefig("filters.png")`; a notebook shows it. Nothing here
touches pyplot's state.
"""

from cnnfast.plot.architecture import architecture
from cnnfast.plot.maps import feature_maps, filters

__all__ = ["architecture", "feature_maps", "filters"]
