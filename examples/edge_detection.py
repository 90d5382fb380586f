"""Edge detection: a convolution with Sobel's kernels on a photograph. python examples/edge_detection.py [FOLDER]"""

import sys
from pathlib import Path

import numpy as np

import cnnfast
from cnnfast import datasets, filters

LUMA = (0.299, 0.587, 0.114)

grey = (datasets.photograph() @ np.array(LUMA, np.float32))[np.newaxis, :, :, np.newaxis]
across, down = np.moveaxis(cnnfast.conv2d(grey, filters.bank(["sobel_x", "sobel_y"]), padding="same"), -1, 0)
strength = np.hypot(across, down)[0]

# The lecture's picture: bright on the left, dark on the right. The vertical filter sees the edge, and nothing else.
lecture = np.repeat(np.where(np.arange(6) < 3, 10.0, 0.0)[np.newaxis], 6, axis=0).reshape(1, 6, 6, 1)
found = cnnfast.conv2d(lecture, filters.bank(["vertical_edge"]))[0, :, :, 0]
assert (found == [[0, 30, 30, 0]] * 4).all()
print(found)
print(f"{(strength > strength.max() / 4).mean():.1%} of the photograph is a strong edge")
if len(sys.argv) > 1:
    from PIL import Image

    pixels = np.uint8(255 - np.clip(strength / np.percentile(strength, 99), 0, 1) * 255)
    Image.fromarray(pixels).quantize(16).save(Path(sys.argv[1]) / "edges.png", optimize=True)
