"""Losses: closed forms, finite differences, torch."""

from typing import Any

import numpy as np
import pytest

from cnnfast import losses
from cnnfast.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)

rng = np.random.default_rng(0)
N, K = 5, 4
LOGITS = rng.normal(0, 2, (N, K))
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
SIGMOIDS = 1 / (1 + np.exp(-LOGITS))
CLASSES = rng.integers(0, K, N)
ONE_HOT = np.eye(K)[CLASSES]
BITS = rng.integers(0, 2, (N, K)).astype(float)
REALS = rng.normal(0, 2, (N, K))

CASES = [
    (MeanSquaredError(), REALS, LOGITS), (MeanAbsoluteError(), REALS, LOGITS), (Huber(0.7), REALS, LOGITS),
    (CategoricalCrossentropy(), ONE_HOT, PROBABILITIES), (CategoricalCrossentropy(), ONE_HOT, 3 * PROBABILITIES),
    (CategoricalCrossentropy(True), ONE_HOT, LOGITS), (CategoricalCrossentropy(True, 0.1), ONE_HOT, LOGITS),
    (CategoricalCrossentropy(False, 0.1), ONE_HOT, PROBABILITIES),
    (SparseCategoricalCrossentropy(), CLASSES, PROBABILITIES), (SparseCategoricalCrossentropy(True), CLASSES, LOGITS),
    (SparseCategoricalCrossentropy(), CLASSES, 3 * PROBABILITIES),
    (BinaryCrossentropy(), BITS, SIGMOIDS), (BinaryCrossentropy(True), BITS, LOGITS),
    (BinaryCrossentropy(False, 0.2), BITS, SIGMOIDS), (BinaryCrossentropy(True, 0.2), BITS, LOGITS),
]  # fmt: skip


@pytest.mark.parametrize("weights", [None, rng.uniform(0.5, 2, N)])
@pytest.mark.parametrize(("loss", "y_true", "y_pred"), CASES)
def test_gradients_are_finite_differences(loss: Loss, y_true: Any, y_pred: Any, weights: Any) -> None:
    value, gradient = loss.value_and_gradient(y_true, y_pred, weights)
    assert value == loss(y_true, y_pred, weights)
    assert gradient.dtype == np.float64
    expected = np.empty_like(y_pred)
    for i in np.ndindex(y_pred.shape):
        sides = []
        for step in (1e-6, -1e-6):
            moved = y_pred.copy()
            moved[i] += step
            sides.append(loss(y_true, moved, weights))
        expected[i] = (sides[0] - sides[1]) / 2e-6
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


def test_values_are_closed_forms() -> None:
    error = LOGITS - REALS
    picked = np.log(PROBABILITIES[np.arange(N), CLASSES])
    assert MeanSquaredError()(REALS, LOGITS) == pytest.approx((error**2).mean())
    assert MeanAbsoluteError()(REALS, LOGITS) == pytest.approx(np.abs(error).mean())
    small = np.abs(error) <= 0.7
    assert Huber(0.7)(REALS, LOGITS) == pytest.approx(
        np.where(small, error**2 / 2, 0.7 * (np.abs(error) - 0.35)).mean()
    )
    sparse = SparseCategoricalCrossentropy
    for loss, y_pred in ((sparse(), PROBABILITIES), (sparse(True), LOGITS)):
        assert loss(CLASSES, y_pred) == pytest.approx(-picked.mean())
        assert loss(CLASSES[:, None], y_pred) == pytest.approx(-picked.mean())
    assert CategoricalCrossentropy()(ONE_HOT, PROBABILITIES) == pytest.approx(-picked.mean())
    weighted = CategoricalCrossentropy()(ONE_HOT, PROBABILITIES, np.arange(N))
    assert weighted == pytest.approx(-(picked * np.arange(N)).mean())
    bits = -(BITS * np.log(SIGMOIDS) + (1 - BITS) * np.log(1 - SIGMOIDS)).mean()
    assert BinaryCrossentropy()(BITS, SIGMOIDS) == pytest.approx(bits)
    assert BinaryCrossentropy(True)(BITS, LOGITS) == pytest.approx(bits)


def test_torch(torch: Any) -> None:
    functional = torch.nn.functional
    logits = torch.tensor(LOGITS, requires_grad=True)
    pairs = [
        (functional.cross_entropy(logits, torch.tensor(CLASSES)), SparseCategoricalCrossentropy(True), CLASSES),
        (functional.cross_entropy(logits, torch.tensor(CLASSES), label_smoothing=0.1),
         CategoricalCrossentropy(True, 0.1), ONE_HOT),
        (functional.binary_cross_entropy_with_logits(logits, torch.tensor(BITS)), BinaryCrossentropy(True), BITS),
        (functional.huber_loss(logits, torch.tensor(REALS), delta=0.7), Huber(0.7), REALS),
    ]  # fmt: skip
    for theirs, loss, y_true in pairs:
        (grad,) = torch.autograd.grad(theirs, logits)
        value, gradient = loss.value_and_gradient(y_true, LOGITS)
        assert value == pytest.approx(theirs.item(), rel=1e-12)
        np.testing.assert_allclose(gradient, grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("loss", "y_true", "probabilities"),
    [
        (CategoricalCrossentropy(label_smoothing=0.1), ONE_HOT, PROBABILITIES),
        (SparseCategoricalCrossentropy(), CLASSES, PROBABILITIES),
        (BinaryCrossentropy(label_smoothing=0.1), BITS, SIGMOIDS),
    ],
)
def test_joined_with_the_last_activation(loss: Any, y_true: Any, probabilities: Any) -> None:
    value, gradient = loss.value_and_gradient(y_true, probabilities, logits=True)
    options = {} if isinstance(loss, SparseCategoricalCrossentropy) else {"label_smoothing": 0.1}
    expected = type(loss)(from_logits=True, **options).value_and_gradient(y_true, LOGITS)
    assert value == pytest.approx(expected[0])
    np.testing.assert_allclose(gradient, expected[1], atol=1e-12)


def test_far_from_the_target_the_gradient_is_still_there() -> None:
    y = np.array([[1, 0]], np.float32)  # what a softmax of (200, 0) gives: the target's probability is 0 in float32
    _, gradient = SparseCategoricalCrossentropy().value_and_gradient([1], y, logits=True)
    assert gradient.tolist() == [[1, -1]]


def test_shapes_that_do_not_match() -> None:
    with pytest.raises(ValueError, match=r"y must have the output's shape \(N, 4\), got \(N,\) \(class numbers"):
        CategoricalCrossentropy()(CLASSES, PROBABILITIES)
    with pytest.raises(ValueError, match="y must hold a class number for each"):
        SparseCategoricalCrossentropy()(ONE_HOT, PROBABILITIES)
    with pytest.raises(ValueError, match="class numbers from 0 to 3, got 0 to 4"):
        SparseCategoricalCrossentropy()([0, 1, 2, 3, 4], PROBABILITIES)
    with pytest.raises(ValueError, match="got fractions"):
        SparseCategoricalCrossentropy()([0.5] * N, PROBABILITIES)
    with pytest.raises(ValueError, match="sample_weight must have one weight for each of 5"):
        MeanSquaredError()(REALS, LOGITS, [1.0, 2.0])
    assert BinaryCrossentropy()([1, 0], [[0.5], [0.5]]) == pytest.approx(np.log(2))
    assert BinaryCrossentropy()(np.array([[1], [0]]), np.array([[0.5], [0.5]])) == pytest.approx(np.log(2))


def test_names() -> None:
    assert losses.get("categorical_crossentropy").name == "categorical_crossentropy"
    assert isinstance(losses.get(Huber), Huber)
    with pytest.raises(ValueError, match="loss must be"):
        losses.get("hinge")
    with pytest.raises(TypeError, match="whose gradient is known"):
        losses.get(lambda y_true, y_pred: 0)
    with pytest.raises(ValueError, match="label_smoothing must be from 0 to 1"):
        BinaryCrossentropy(label_smoothing=2)


def test_forms_of_sample_weight() -> None:
    loss, weights = MeanSquaredError(), rng.random(N)
    assert loss(REALS, LOGITS, weights[:, None]) == loss(REALS, LOGITS, weights)
    y, pixels = np.ones((N, 2, 3, 1)), rng.random((N, 2, 3))
    assert loss(y, 0 * y, pixels[..., None]) == loss(y, 0 * y, pixels) == pytest.approx(pixels.mean())
    assert loss(y, 0 * y, weights[:, None]) == pytest.approx(weights.mean())
    for wrong in (np.ones((N, K)), np.ones((N, 1, 1))):
        with pytest.raises(ValueError, match="sample_weight must have one weight for each of 5 images, got shape"):
            loss(REALS, LOGITS, wrong)


def test_a_gradient_is_of_the_predictions_dtype() -> None:
    class Own(Loss):
        def each(self, y_true: Any, y_pred: Any) -> Any:
            return np.abs(y_pred).mean(-1), np.sign(y_pred).astype(np.float64)

    assert Own().value_and_gradient(REALS, LOGITS.astype(np.float32))[1].dtype == np.float32
