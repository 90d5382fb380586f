"""Metrics: worked examples, and which accuracy shapes ask for."""

import numpy as np
import pytest

from cnnfast import metrics

P = np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.2, 0.3, 0.5]])
ONE_HOT = np.eye(3)[[1, 2, 2]]


def value(name: object, y_true: object, y_pred: object) -> float:
    metric = metrics.get(name)
    metric.update_state(y_true, y_pred)
    return metric.result()


@pytest.mark.parametrize("name", ["accuracy", "acc"])
def test_accuracy_goes_by_the_shapes(name: str) -> None:
    assert value(name, [1, 2, 2], P) == pytest.approx(2 / 3)
    assert value(name, [[1], [2], [2]], P) == pytest.approx(2 / 3)
    assert value(name, ONE_HOT, P) == pytest.approx(2 / 3)
    assert value(name, [[1], [0], [0]], np.array([[0.9], [0.2], [0.8]])) == pytest.approx(2 / 3)
    assert value(name, [1, 0, 0], np.array([[0.9], [0.2], [0.8]])) == pytest.approx(2 / 3)
    assert value(name, np.ones((2, 4, 4), int), np.stack([np.zeros((2, 4, 4)), np.ones((2, 4, 4))], -1)) == 1


def test_top_k() -> None:
    assert value(metrics.SparseTopKCategoricalAccuracy(1), [1, 2, 2], P) == pytest.approx(2 / 3)
    assert value(metrics.SparseTopKCategoricalAccuracy(2), [1, 2, 2], P) == 1
    assert value(metrics.TopKCategoricalAccuracy(2), ONE_HOT, P) == 1
    assert value("top_k_categorical_accuracy", ONE_HOT, P) == 1


def test_others() -> None:
    assert value(metrics.Accuracy(), [[1, 2]], np.array([[1, 3]])) == 0.5
    assert value(metrics.BinaryAccuracy(threshold=0.1), [[1, 1]], np.array([[0.2, 0.05]])) == 0.5
    assert value("mse", [[1.0, 2.0]], np.array([[1.0, 4.0]])) == 2
    assert value("sparse_categorical_crossentropy", [1], np.array([[0.5, 0.5]])) == pytest.approx(np.log(2))
    assert value(lambda y_true, y_pred: np.abs(y_true - y_pred).max(-1), np.zeros((1, 2)), np.array([[3.0, 4.0]])) == 4
    with pytest.raises(ValueError, match="metrics must be one of"):
        metrics.get("f1")


def test_means_go_over_batches_and_weights() -> None:
    metric = metrics.SparseCategoricalAccuracy()
    assert metric.result() == 0
    metric.update_state([1, 2], P[:2])
    metric.update_state([2], P[2:])
    assert metric.result() == pytest.approx(2 / 3)
    metric.reset_state()
    metric.update_state([1, 2], P[:2], [3, 1])
    assert metric.result() == 0.75


def test_what_is_not_a_number_is_wrong() -> None:
    nan = np.full((1, 3), np.nan)
    for name in ("accuracy", metrics.SparseTopKCategoricalAccuracy(1), metrics.SparseTopKCategoricalAccuracy(5)):
        assert value(name, [0], nan) == 0
    assert value("accuracy", [[1, 0, 0]], nan) == value(metrics.TopKCategoricalAccuracy(5), [[1, 0, 0]], nan) == 0
    assert value("accuracy", [0], nan[:, :1]) == 0
