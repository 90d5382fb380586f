"""LeNet-5 learns scikit-learn's digits.

    python examples/train_lenet5.py                     five splits, as docs/training.md tells of
    python examples/train_lenet5.py --splits 1 --epochs 3
    python examples/train_lenet5.py --save FILE.npz     weights of the first split; the package has them in float16
    python examples/train_lenet5.py --pictures FOLDER   its history, confusions, filters and feature maps
"""

import argparse
from pathlib import Path

import numpy as np

import cnnfast
from cnnfast import Sequential, plot
from cnnfast.callbacks import LearningRateScheduler
from cnnfast.datasets import digits
from cnnfast.layers import RandomRotation, RandomTranslation, RandomZoom
from cnnfast.models import LeNet5
from cnnfast.optimizers import Adam

BATCH, RATE = 64, 2e-3


def augmented(model: Sequential, seed: int) -> Sequential:
    """The model behind layers that turn, shift and scale each picture a little, in training alone."""
    return Sequential(
        [
            RandomRotation(0.03, fill_mode="constant", seed=seed, input_shape=(32, 32, 1)),
            RandomTranslation(0.08, 0.08, fill_mode="constant", seed=seed),
            RandomZoom(0.1, fill_mode="constant", seed=seed),
            model,
        ]
    )


def learn(seed: int, epochs: int) -> tuple[Sequential, dict[str, list[float]], np.ndarray, np.ndarray]:
    """Train on 80% of the digits, which the seed draws; the rest is for nothing but the accuracy."""
    cnnfast.set_random_seed(seed)
    (x, y), (x_test, y_test) = digits.load_data(seed=seed)
    model = LeNet5()
    trained = augmented(model, seed)
    trained.compile(Adam(RATE), "sparse_categorical_crossentropy", ["accuracy"])
    falling = LearningRateScheduler(lambda epoch, rate: RATE * (1 + np.cos(np.pi * epoch / epochs)) / 2)
    history = trained.fit(digits.as_pictures(x), y, BATCH, epochs, callbacks=[falling], verbose=0).history
    return model, history, digits.as_pictures(x_test), y_test


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--splits", type=int, default=5)
parser.add_argument("--epochs", type=int, default=60)
parser.add_argument("--save", type=Path)
parser.add_argument("--pictures", type=Path)
arguments = parser.parse_args()

scores = []
for seed in range(arguments.splits):
    model, history, x, y = learn(seed, arguments.epochs)
    found = model.predict(x).argmax(axis=1)
    scores.append((found == y).mean())
    print(f"split {seed}: {(found == y).sum()} of {len(y)} held-out digits, {scores[-1]:.2%}", flush=True)
    if seed == 0 and arguments.save:
        model.save_weights(arguments.save)
    if seed == 0 and arguments.pictures:
        figures = {
            "history": plot.history(history),
            "confusion": plot.confusion(y, found),
            "learned_filters": plot.filters(model.layers[0]),
            "digit_maps": plot.feature_maps(model, x[0], model.layers[0]),
        }
        for name, figure in figures.items():
            figure.savefig(arguments.pictures / f"{name}.png", dpi=80)
print(f"mean accuracy {np.mean(scores):.2%}")
