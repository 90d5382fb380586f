"""Receptive fields: those that are published, Araujo et al.'s formula, and what a change of one pixel changes."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from cnnfast import Input, Model, Sequential, models
from cnnfast.graph.ir import Graph, Spec
from cnnfast.graph.network import Network
from cnnfast.graph.reaches import Span
from cnnfast.graph.receptive_field import Field, Walk, receptive_field
from cnnfast.graph.specialise import specialise
from cnnfast.layers import (
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Cropping2D,
    DepthwiseConv2D,
    MaxPooling2D,
    UpSampling2D,
    ZeroPadding2D,
)

FLOAT32 = np.dtype(np.float32)


def field_of(model: Model, *shape: int) -> Field:
    graph = model.graph((1, *shape))
    down, across = receptive_field(specialise(graph, {graph.inputs[0]: Spec((1, *shape), FLOAT32)}))
    if shape[0] == shape[1]:
        assert down == across
    return down


@pytest.mark.parametrize(
    ("model", "size", "stride", "first"),
    [  # Araujo et al., table 1: field, stride and padding; ResNets by torchvision's strides
        (lambda: models.VGG16(include_top=False), 212, 32, -90),
        (lambda: models.ResNet18(include_top=False), 435, 32, -217),
        (lambda: models.ResNet34(include_top=False), 899, 32, -449),
        (lambda: models.ResNet50(include_top=False), 427, 32, -213),
    ],
    ids=["vgg16", "resnet18", "resnet34", "resnet50"],
)
def test_published(model: Any, size: int, stride: int, first: int) -> None:
    """Padding as torch has it: of 224 pixels, with even sizes, TensorFlow's lies elsewhere."""
    found = field_of(model(), 224, 224, 3)
    assert (found.size, found.stride, found.outputs) == (size, stride, 1)
    assert found.first == first


def test_mobilenet() -> None:
    """315 with a stride of 32, as published; "same" pads the odd pixel behind, so the field begins later."""
    found = field_of(models.MobileNet(include_top=False), 224, 224, 3)
    assert (found.size, found.stride) == (315, 32)


def test_valid_unet() -> None:
    """572 pixels become 388, and every pixel is read."""
    graph = models.UNet().graph((1, 572, 572, 1))
    walk = Walk(specialise(graph, {graph.inputs[0]: Spec((1, 572, 572, 1), FLOAT32)}), "NHWC")
    assert (walk.field(0).period, walk.field(0).outputs, walk.field(0).stride) == (16, 16, 1)
    assert walk.back(0, Span(0, 387)) == walk.back(1, Span(0, 387)) == (0, 571)


def test_araujos_formula() -> None:
    """r = 1 + sum over the layers of (k - 1) * (what strides came before), their equation 2."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        layers, r, jump, start = [], 1, 1, 0
        for _ in range(rng.integers(1, 6)):
            k, s, d, p = (int(rng.integers(low, high)) for low, high in ((1, 6), (1, 4), (1, 3), (0, 3)))
            layers.append(Conv2D(1, k, strides=s, padding=p, dilation_rate=d))
            r, start, jump = r + d * (k - 1) * jump, start - p * jump, jump * s
        found = field_of(Sequential([Input((400, 400, 1)), *layers]), 400, 400, 1)
        assert (found.size, found.stride, found.first) == (r, jump, start)


NETWORKS = {
    "valid": [Conv2D(1, 3), MaxPooling2D(2), Conv2D(1, (3, 5), dilation_rate=2)],
    "same": [Conv2D(1, 5, strides=2, padding="same"), DepthwiseConv2D(3, padding="same"), MaxPooling2D(3, 2, "same")],
    "transposed": [Conv2D(1, 3, strides=2), Conv2DTranspose(1, 4, strides=2, padding="same")],
    "sparse": [Conv2D(1, 3, strides=3), Conv2DTranspose(1, 2, strides=3)],
    "nearest": [MaxPooling2D(2), Conv2D(1, 3), UpSampling2D(3)],
    "bilinear": [Conv2D(1, 2, strides=2), UpSampling2D(2, interpolation="bilinear")],
    "cropped": [ZeroPadding2D(((3, 0), (1, 1))), Cropping2D(((1, 4), (0, 2))), MaxPooling2D(2, 3)],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_a_pixel_changes(name: str) -> None:
    """Every output that one pixel changes must have it in its field; the field's ends must change some output."""
    model = Sequential([Input((48, 48, 1)), *NETWORKS[name]])
    model.set_weights([np.abs(weight) + 0.1 for weight in model.get_weights()])
    graph = model.graph((1, 48, 48, 1))
    network = Network(graph)
    executable = network.executable({graph.inputs[0]: Spec((1, 48, 48, 1), FLOAT32)})
    fields = receptive_field(specialise(graph, {graph.inputs[0]: Spec((1, 48, 48, 1), FLOAT32)}))
    x = np.zeros((1, 48, 48, 1), np.float32)
    before = executable.run([x])[0]
    for axis, field in enumerate(fields, 1):
        touched: dict[int, list[int]] = {}
        for at in range(48):
            changed = x.copy()
            np.moveaxis(changed, axis, 0)[at] = 1 + np.arange(48).reshape(1, 48, 1)
            for p in np.unique(np.nonzero(executable.run([changed])[0] != before)[axis]):
                touched.setdefault(int(p), []).append(at)
        reads = [(span[0] - field.period * (p // field.outputs), span[-1] - field.period * (p // field.outputs))
                 for p, span in touched.items()]  # fmt: skip
        inner = [(first, last) for (first, last), span in zip(reads, touched.values(), strict=True)
                 if span[0] > 0 and span[-1] < 47]  # fmt: skip
        assert all(first >= field.first and last <= field.last for first, last in reads)
        assert min(first for first, _ in inner) == field.first
        assert max(last for _, last in inner) == field.last


def test_ways_that_meet() -> None:
    x = Input((32, 32, 1))
    wide, narrow = Conv2D(1, 7, padding="same")(x), Conv2D(1, 3, padding="same")(x)
    assert field_of(Model(x, Concatenate()([narrow, wide])), 32, 32, 1).size == 7
    assert field_of(Model(x, UpSampling2D(4)(Conv2D(1, 2, strides=2)(x))), 32, 32, 1).stride == Fraction(1, 2)


@pytest.mark.parametrize(
    ("op", "attributes", "words"),
    [
        ("adaptive_avg_pool2d", {"output_size": 1}, "whole picture"),
        ("flatten", {}, "all pixels in a row"),
        ("transpose", {"axes": (0, 2, 1, 3)}, "turns the picture"),
        ("softmax", {"axis": 1}, "whole rows or columns"),
        ("upsample2d", {"mode": "bilinear", "align_corners": True}, "align_corners"),
        ("upsample2d", {"mode": "bilinear", "scale_factor": 3}, "scale_factor"),
        ("pad2d", {"padding": ((1, 1), (1, 1)), "mode": "circular"}, "other side"),
        ("slice", {"axes": (0,), "starts": (0,), "stops": (1,), "steps": (1,)}, "batch"),
    ],
)
def test_refused(op: str, attributes: dict[str, Any], words: str) -> None:
    graph = Graph(["x"], ["y"])
    graph.add(op, ["x"], "layer7", output="y", **attributes)
    known = specialise(graph, {"x": Spec((2, 8, 8, 4), FLOAT32)})
    with pytest.raises(ValueError, match=rf"layer7 \({op}\): .*{words}"):
        receptive_field(known)
