"""Style transfer: a cup of coffee in the style of a flower. python examples/style_transfer.py [FOLDER for the picture]

The pixels learn, by gradients to the network's input (Gatys, Ecker and Bethge, arXiv:1508.06576). The paper's VGG is
trained; filters that are only drawn carry style too (Ustyuzhaninov et al., arXiv:1606.00021), and are what this has.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

import cnnfast
from cnnfast import Input, Model, datasets
from cnnfast.layers import AveragePooling2D, Conv2D

SIZE = 128, 96
STEPS, RATE, CONTENT = 120, 0.03, 0.02


def picture(pixels: np.ndarray) -> np.ndarray:
    small = Image.fromarray(pixels).resize(SIZE)
    return np.asarray(small, np.float32)[np.newaxis] / 255 - 0.5


def network() -> Model:
    """Four maps of features, each from half as many pixels as the one before."""
    x = y = Input((None, None, 3))
    features = []
    for filters in (32, 64, 64, 64):
        y = Conv2D(filters, 5, padding="same", activation="relu", kernel_initializer="he_normal")(y)
        features.append(y)
        y = AveragePooling2D(2)(y)
    return Model(x, features)


def gram(feature: np.ndarray) -> np.ndarray:
    """Which channels are active together, wherever: (C, C)."""
    flat = feature.reshape(-1, feature.shape[-1])
    return flat.T @ flat / len(flat)


def style_loss(feature: np.ndarray, wanted: np.ndarray) -> tuple[float, np.ndarray]:
    """The relative error of the Gram matrix, and its gradient with respect to the feature map."""
    flat = feature.reshape(-1, feature.shape[-1])
    difference, scale = gram(feature) - wanted, float((wanted**2).sum())
    return float((difference**2).sum()) / scale, (flat @ difference * (4 / len(flat) / scale)).reshape(feature.shape)


def content_loss(feature: np.ndarray, wanted: np.ndarray) -> tuple[float, np.ndarray]:
    """The relative error of the feature map itself."""
    difference, scale = feature - wanted, float((wanted**2).sum())
    return float((difference**2).sum()) / scale, difference * np.float32(2 / scale)


cnnfast.set_random_seed(3)
model = network()
content, style = picture(datasets.photograph()), picture(load_sample_image("flower.jpg"))
grams = [gram(feature) for feature in model.predict(style)]
kept = model.predict(content)[2]

x = content.copy()
mean, square = np.zeros_like(x), np.zeros_like(x)  # Adam's
losses = []
for step in range(1, STEPS + 1):
    features, backprop = model.forward(x)
    found = [style_loss(*pair) for pair in zip(features, grams, strict=True)]
    gradients = [gradient for _, gradient in found]
    value, gradient = content_loss(features[2], kept)
    gradients[2] = gradients[2] + CONTENT * gradient
    losses.append(sum(each for each, _ in found) + CONTENT * value)

    gradient = backprop(gradients)
    mean = 0.9 * mean + 0.1 * gradient
    square = 0.99 * square + 0.01 * gradient**2
    x -= RATE * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + 1e-12)
    x = np.clip(x, -0.5, 0.5).astype(np.float32)

print(f"loss {losses[0]:.3f} -> {losses[-1]:.4f} in {STEPS} steps")
assert losses[-1] < losses[0] / 20
if len(sys.argv) > 1:
    three = np.concatenate([content, style, x], axis=2)[0]
    Image.fromarray(np.uint8((three + 0.5) * 255 + 0.5)).save(Path(sys.argv[1]) / "style_transfer.jpg", quality=85)
