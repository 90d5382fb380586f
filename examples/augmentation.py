"""Augmentation: the same pictures, a little different in every epoch. python examples/augmentation.py [FOLDER]"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cnnfast import Sequential, datasets
from cnnfast.layers import RandomContrast, RandomFlip, RandomRotation, RandomTranslation, RandomZoom

augment = Sequential(
    [
        RandomFlip("horizontal", seed=1, input_shape=(160, 160, 3)),
        RandomRotation(0.1, seed=2),
        RandomZoom(0.2, seed=3),
        RandomTranslation(0.1, 0.1, seed=4),
        RandomContrast(0.4, seed=5),
    ]
)
picture = datasets.photograph()[::2, 40:360:2][:, :160].astype(np.float32)
same = np.repeat(picture[np.newaxis], 8, axis=0)

pictures, _ = augment.forward(same, training=True)
assert len({image.tobytes() for image in pictures}) == 8  # each is its own draw
assert (augment.predict(same) == same).all()  # nothing happens in inference

flip = RandomFlip("horizontal_and_vertical")
assert (np.flip(np.flip(same, 2), 2) == same).all()
print(f"{len(pictures)} pictures of one, {flip.name} and the others off in inference")
if len(sys.argv) > 1:
    figure = Figure(figsize=(8, 4), layout="constrained")
    for cell, image in zip(figure.subplots(2, 4).flat, pictures, strict=True):
        cell.imshow(np.clip(image, 0, 255) / 255)
        cell.set_axis_off()
    figure.savefig(Path(sys.argv[1]) / "augmentation.png")
