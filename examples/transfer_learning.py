"""Transfer learning: a small MobileNet that knows the digits 0 to 4 learns 5 to 9 from few pictures.

Its features of the frozen part are computed once and kept on the disk; a new head learns on them; then all of it is
tuned a little.
"""

import tempfile

import cnnfast
from cnnfast import Sequential
from cnnfast.datasets import cached_features, digits
from cnnfast.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    GlobalAveragePooling2D,
    Input,
    Layer,
    ReLU,
)
from cnnfast.optimizers import Adam

FEW = 100
CROSSENTROPY = "sparse_categorical_crossentropy"


def mobilenet() -> Sequential:
    """Depthwise separable blocks, as MobileNet has them, for 32x32 pictures."""
    layers = [Input((32, 32, 1)), *normalized(Conv2D(16, 3, 2, "same", use_bias=False))]
    for filters, strides in ((32, 1), (64, 2), (64, 1), (128, 2)):
        layers += normalized(DepthwiseConv2D(3, strides, "same", use_bias=False))
        layers += normalized(Conv2D(filters, 1, use_bias=False))
    return Sequential([*layers, GlobalAveragePooling2D()])


def normalized(layer: Layer) -> list[Layer]:
    """With a momentum for the hundred steps that there will be: 0.99 forgets too slowly."""
    return [layer, BatchNormalization(momentum=0.8), ReLU(6)]


def weights(model: Sequential) -> list[bytes]:
    return [each.tobytes() for each in model.get_weights()]


cnnfast.set_random_seed(7)
(x, y), (x_test, y_test) = digits.load_data(seed=7)
x, x_test = digits.as_pictures(x), digits.as_pictures(x_test)

base = mobilenet()
first = Sequential([base, Dense(5, activation="softmax")])
first.compile(Adam(3e-3), CROSSENTROPY, ["accuracy"])
first.fit(x[y < 5], y[y < 5], 64, epochs=8, verbose=0)
print(f"0 to 4: {first.evaluate(x_test[y_test < 5], y_test[y_test < 5], verbose=0)[1]:.1%}")

# The new task: few pictures of other digits, a new head, everything else frozen.
x, y = x[y >= 5][:FEW], y[y >= 5][:FEW] - 5
x_test, y_test = x_test[y_test >= 5], y_test[y_test >= 5] - 5
base.trainable = False
before = weights(base)
head = Sequential([Input((128,)), Dense(5, activation="softmax")])
head.compile(Adam(1e-2), CROSSENTROPY, ["accuracy"])
whole = Sequential([base, head])
with tempfile.TemporaryDirectory() as folder:
    features = cached_features(base, x, folder)
    head.fit(features, y, 32, epochs=60, verbose=0)
    assert (head.predict(features) == whole.predict(x)).all()  # what is kept is what the network gives
assert weights(base) == before
whole.compile(Adam(1e-3), CROSSENTROPY, ["accuracy"])
frozen = whole.evaluate(x_test, y_test, verbose=0)[1]
whole.fit(x, y, 32, epochs=2, verbose=0)
assert weights(base) == before  # batch normalizations' statistics too

base.trainable = True
whole.compile(Adam(3e-4), CROSSENTROPY, ["accuracy"])
whole.fit(x, y, 32, epochs=20, verbose=0)
assert weights(base) != before
tuned = whole.evaluate(x_test, y_test, verbose=0)[1]
print(f"5 to 9 of {FEW} pictures: {frozen:.1%} with a new head, {tuned:.1%} tuned")
