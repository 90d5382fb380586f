"""Make the pictures of docs/gallery.md: python examples/gallery.py docs/gallery"""

import io
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import cnnfast
from cnnfast import Sequential, datasets, filters, models, plot
from cnnfast.layers import Conv2D, MaxPooling2D

COLOURS = 48  # of each PNG: small files
EDGES = ("sobel_x", "sobel_y", "scharr_x", "scharr_y", "vertical_edge", "horizontal_edge", "laplacian", "sharpen")
LUMA = (0.299, 0.587, 0.114)


def save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    Image.open(buffer).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size // 1000} kB")


def edge_network() -> Sequential:
    """A convolution whose kernels are named filters, and a pool."""
    model = Sequential(
        [Conv2D(len(EDGES), 3, activation="relu", use_bias=False, input_shape=(None, None, 1)), MaxPooling2D(2)]
    )
    model.layers[0].set_weights([filters.bank(EDGES)])
    return model


folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
folder.mkdir(parents=True, exist_ok=True)
cnnfast.set_random_seed(5)
grey = (datasets.photograph() @ np.array(LUMA))[..., np.newaxis]

save(plot.filters(filters.bank(list(filters.FILTERS)), names=list(filters.FILTERS)), folder / "filters.png")
save(plot.feature_maps(edge_network(), grey, "max_pooling2d"), folder / "feature_maps.png")
save(plot.filters(models.VGG16(include_top=False).layers[0], limit=32), folder / "vgg16_block1_conv1.png")
for name in ("lenet5", "alexnet", "vgg16"):
    save(plot.architecture(models.MODELS[name]()), folder / f"{name}.png")
