"""A sliding window as one convolution: dense layers become convolutions, and every window is classified at once.

Sermanet et al., "OverFeat", arXiv:1312.6229, section 3.5: what neighbouring windows share is computed once.
"""

import numpy as np

import cnnfast
from cnnfast import Sequential
from cnnfast.layers import Conv2D, Dense, Flatten, Input, MaxPooling2D

WINDOW = 14


def classifier() -> Sequential:
    """14x14x3 -> 10x10x16 -> 5x5x16 -> 400 -> 400 -> 4 classes."""
    return Sequential(
        [
            Input((WINDOW, WINDOW, 3)),
            Conv2D(16, 5, activation="relu"),
            MaxPooling2D(2),
            Flatten(),
            Dense(400, activation="relu"),
            Dense(400, activation="relu"),
            Dense(4, activation="softmax"),
        ]
    )


def convolutional(model: Sequential) -> Sequential:
    """The same network for pictures of any size: the first dense layer is a 5x5 convolution, the others are 1x1."""
    layers, size = [Input((None, None, 3))], 1
    for layer in model.layers:
        if isinstance(layer, Flatten):
            size = layer.input.shape[1]
        elif isinstance(layer, Dense):
            layers.append(Conv2D(layer.units, size, activation=layer.activation.name))
            size = 1
        elif isinstance(layer, Conv2D):
            layers.append(Conv2D(layer.filters, layer.kernel_size, activation="relu"))
        else:
            layers.append(MaxPooling2D(2))
    turned = Sequential(layers)
    turned.set_weights([w.reshape(v.shape) for w, v in zip(model.get_weights(), turned.weights, strict=True)])
    return turned


cnnfast.set_random_seed(1)
model = classifier()
everywhere = convolutional(model)
picture = np.random.default_rng(1).standard_normal((1, 28, 28, 3)).astype(np.float32)

for size in (14, 16, 28):
    y = everywhere.predict(picture[:, :size, :size])
    crops = [
        model.predict(picture[:, i : i + WINDOW, j : j + WINDOW])[0]
        for i in range(0, size - WINDOW + 1, 2)
        for j in range(0, size - WINDOW + 1, 2)
    ]
    difference = np.abs(y.reshape(-1, 4) - crops).max()
    assert difference < 1e-6, difference
    print(f"{size}x{size}x3 -> {'x'.join(map(str, y.shape[1:]))}: {len(crops)} crops, difference {difference:.1e}")
