"""The pictures of training: what their curves and cells hold."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cnnfast import Input, Model, Sequential, plot
from cnnfast.layers import Conv2D, Dense, Flatten

pytest.importorskip("matplotlib", reason='pip install "cnnfast[plot]"')

CURVES = {
    "accuracy": [0.1, 0.5, 0.75], "loss": [2.0, 1.0, 0.5], "val_accuracy": [0.2, 0.4, 0.6], "val_loss": [3, 2, 1.5]
}  # fmt: skip


def drawn(axes: Any) -> dict[str, tuple[list[float], list[float]]]:
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}


@pytest.mark.parametrize("history", [CURVES, SimpleNamespace(history=CURVES, epoch=[0, 1, 2])], ids=["dict", "History"])
def test_the_curves_of_a_history(history: Any) -> None:
    figure = plot.history(history)
    assert [axes.get_title() for axes in figure.axes] == ["accuracy", "loss"]
    assert drawn(figure.axes[0])["training"] == ([1, 2, 3], [0.1, 0.5, 0.75])
    assert drawn(figure.axes[0])["validation"] == ([1, 2, 3], [0.2, 0.4, 0.6])
    assert drawn(figure.axes[1])["validation"] == ([1, 2, 3], [3, 2, 1.5])
    assert {text.get_text() for text in figure.axes[1].get_legend().get_texts()} == {"training", "validation"}


def test_epochs_that_begin_later_and_no_validation() -> None:
    figure = plot.history(SimpleNamespace(history={"loss": np.array([2.0, 1.0])}, epoch=[5, 6]))
    assert drawn(figure.axes[0]) == {"training": ([6, 7], [2.0, 1.0])}


TRUE, PREDICTED = [0, 0, 0, 1, 2, 2], [0, 0, 2, 1, 2, 1]
TABLE = [[2, 0, 1], [0, 1, 0], [0, 1, 1]]


@pytest.mark.parametrize(
    ("true", "predicted"),
    [(TRUE, PREDICTED), (np.eye(3)[TRUE], np.eye(3)[PREDICTED] * 0.9), (np.array([TRUE]).T, np.array(PREDICTED, "f"))],
)
def test_the_cells_of_a_confusion(true: Any, predicted: Any) -> None:
    (axes,) = plot.confusion(true, predicted, ["a", "b", "c"]).axes
    shares = np.array(TABLE) / np.sum(TABLE, axis=1, keepdims=True)
    np.testing.assert_allclose(axes.get_images()[0].get_array(), shares)
    cells = {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text() for text in axes.texts}
    assert cells == {(i, k): str(n) for i, row in enumerate(TABLE) for k, n in enumerate(row) if n}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true", "predicted")
    assert axes.get_title() == "accuracy 66.67% of 6"


def test_a_class_that_never_comes_and_many_classes() -> None:
    (axes,) = plot.confusion([0], [1], ["a", "b", "c"]).axes
    np.testing.assert_array_equal(axes.get_images()[0].get_array(), [[0, 1, 0], [0, 0, 0], [0, 0, 0]])
    (axes,) = plot.confusion(range(100), range(100)).axes
    assert axes.get_images()[0].get_array().shape == (100, 100)
    assert not axes.texts


def test_what_is_refused() -> None:
    for history in ({}, {"loss": []}):
        with pytest.raises(ValueError, match="a value for each epoch"):
            plot.history(history)
    with pytest.raises(TypeError, match="must be what fit returns"):
        plot.history([1, 2])
    for true, predicted, names, words in (
        ([0, 1], [0], None, "as many, and one at least, got 2 and 1"), ([], [], None, "one at least"),
        ([0, 2], [0, 1], ["a", "b"], "class_names must be 3"), ([0.5], [0], None, "y_true must be classes"),
        ([0], [-1], None, "y_pred must be classes"), (["a"], [0], None, "y_true must be classes"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            plot.confusion(true, predicted, names)


def test_pictures_of_a_net_whose_weights_have_changed(rng: np.random.Generator) -> None:
    """As training changes them, in the net itself and in one that is cut out of it."""
    model = Sequential([Input((8, 8, 1)), Conv2D(2, 3, name="c"), Flatten(), Dense(2)])
    x = rng.random((8, 8, 1), np.float32)
    for _ in range(2):
        model.set_weights([rng.standard_normal(weight.shape) for weight in model.weights])
        kernel = model.get_weights()[0]
        shown = [axes.get_images()[0].get_array() for axes in plot.filters(model.layers[0]).axes]
        np.testing.assert_allclose(shown, kernel[:, :, 0].transpose(2, 0, 1))
        maps = Model(model.inputs, model.layers[0].output).predict(x[np.newaxis])[0]
        shown = [axes.get_images()[0].get_array() for axes in plot.feature_maps(model, x, "c").axes]
        np.testing.assert_array_equal(shown, maps.transpose(2, 0, 1))
