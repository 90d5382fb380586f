"""The pictures: what they hold, not how they look; and what is refused."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast import Input, Sequential, filters, plot
from cnnfast.layers import Conv2D, Dense, DepthwiseConv2D, Flatten

pytest.importorskip("matplotlib", reason='pip install "cnnfast[plot]"')


def pictures(figure: Any) -> list[np.ndarray]:
    return [axes.get_images()[0].get_array() for axes in figure.axes]


def test_filters_show_the_kernels() -> None:
    shown = plot.filters(filters.bank(["sobel_x", "box"]), names=["sobel_x", "box"])
    np.testing.assert_array_equal(pictures(shown)[0], filters.FILTERS["sobel_x"])
    assert [axes.get_title() for axes in shown.axes] == ["sobel_x", "box"]
    assert shown.axes[0].get_images()[0].get_clim() == (-2, 2)


def test_filters_of_layers() -> None:
    model = Sequential([Input((8, 8, 3)), Conv2D(70, 3), DepthwiseConv2D(3), Conv2D(5, 1)])
    colour = plot.filters(model.layers[0])
    assert len(colour.axes) == 64
    assert pictures(colour)[0].shape == (3, 3, 3)
    assert len(plot.filters(model.layers[1], limit=7).axes) == 7
    assert len(plot.filters(model.layers[2]).axes) == 5


def test_feature_maps_are_the_layers_own(rng: np.random.Generator) -> None:
    model = cnnfast.models.LeNet5()
    x = rng.random((32, 32, 1))
    maps = model.layers[0](x[np.newaxis].astype(np.float32))[0]
    for layer in (None, "conv2d", 0, model.layers[0]):
        shown = pictures(plot.feature_maps(model, x, layer))
        assert len(shown) == 6
        for k, picture in enumerate(shown):
            np.testing.assert_array_equal(picture, maps[..., k])


@pytest.mark.parametrize("name", cnnfast.models.MODELS)
def test_architecture_names_every_layer_it_shows(name: str) -> None:
    model = cnnfast.models.MODELS[name]()
    texts = [text.get_text() for text in plot.architecture(model).axes[0].texts]
    for layer in model.layers:
        shape = "x".join(str(size) for size in layer.output.shape[1:])
        shown = type(layer).__name__ not in ("Flatten", "Dropout")
        assert (f"{shape}  {layer.name}" in texts) == shown


def test_what_is_refused() -> None:
    model = cnnfast.models.LeNet5()
    with pytest.raises(ValueError, match="must be a built Conv2D or DepthwiseConv2D, got flatten"):
        plot.filters(model.get_layer("flatten"))
    with pytest.raises(ValueError, match=r"a kernel \(R, S, C, K\), got shape \(3, 3\)"):
        plot.filters(np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"layer must give maps \(N, H, W, C\), dense \(Dense\) gives"):
        plot.feature_maps(model, np.zeros((32, 32, 1)), "dense")
    with pytest.raises(ValueError, match="has no Conv2D"):
        plot.feature_maps(Sequential([Flatten(input_shape=(2, 2, 1)), Dense(2)]), np.zeros((2, 2, 1)))
    with pytest.raises(ValueError, match="build it first"):
        plot.architecture(Sequential([Dense(3)]))
    with pytest.raises(ValueError, match="limit must be >= 1"):
        plot.filters(filters.bank(["box"]), limit=0)


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "cnnfast\[plot\]"'):
        plot.filters(filters.bank(["box"]))


def test_pyplot_is_not_imported() -> None:
    code = (
        "import sys, cnnfast; cnnfast.plot.filters(cnnfast.filters.bank(['box']));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
