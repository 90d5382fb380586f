"""Augmentation: the same pictures, a little different in every epoch. python examples/augmentation.py [FOLDER]"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

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

print(f"{len(pictures)} pictures of one, each with a draw of its own; in inference the picture itself")
if len(sys.argv) > 1:
    rows = np.clip(np.concatenate(np.split(pictures, 2, axis=0), axis=1), 0, 255).astype(np.uint8)  # four of two
    Image.fromarray(np.concatenate(rows, axis=1)).save(Path(sys.argv[1]) / "augmentation.jpg", quality=80)
