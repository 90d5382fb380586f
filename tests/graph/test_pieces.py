"""Parts of a picture give the whole's bits."""

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from cnnfast import Input, Model, Sequential, models
from cnnfast.graph.ir import Graph, Spec
from cnnfast.graph.network import Network
from cnnfast.graph.pieces import Cut, Pieces, cut
from cnnfast.graph.receptive_field import Field
from cnnfast.layers import (
    Add,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Cropping2D,
    Dense,
    MaxPooling2D,
    SeparableConv2D,
    UpSampling2D,
)

Array = np.ndarray[Any, Any]


def joined(pieces: Pieces, x: Array, rows: Sequence[int], columns: Sequence[int]) -> Array:
    """The parts' outputs, put together by hand."""
    cuts = [cut(field, x.shape[axis], pieces.output_shape[at], wanted) for field, axis, at, wanted in zip(
        pieces.fields, pieces.axes, pieces.output_axes, (rows, columns), strict=True)]  # fmt: skip
    assert min(len(each.inputs) for each in cuts) > 1, f"nothing was cut: {cuts}"

    def parts(i: int) -> list[tuple[slice, slice]]:
        found, at = [], 0
        for size, own, skip in zip(cuts[i].inputs, cuts[i].outputs, cuts[i].skips, strict=True):
            read = slice(max(0, at - cuts[i].before), at + size + cuts[i].after)
            found.append((read, slice(skip, skip + own)))
            at += size
        return found

    def part(down: tuple[slice, slice], across: tuple[slice, slice]) -> Array:
        read: list[slice] = [slice(None)] * 4
        kept = list(read)
        for axis, at, (a, b) in zip(pieces.axes, pieces.output_axes, (down, across), strict=True):
            read[axis], kept[at] = a, b
        return pieces(x[tuple(read)])[tuple(kept)]

    return np.concatenate(
        [np.concatenate([part(down, across) for across in parts(1)], pieces.output_axes[1]) for down in parts(0)],
        pieces.output_axes[0],
    )


def check(
    graph: Graph, x: Array, layout: str = "NHWC", rows: Sequence[int] = (), columns: Sequence[int] = ()
) -> Pieces:
    spec = Spec.of(x)
    pieces = Pieces(graph, spec, layout)
    whole = Network(graph).executable({graph.inputs[0]: spec}).run([x])[0]
    found = joined(pieces, x, rows or (40, 40, 40, 40), columns or (37, 64, 30))
    assert found.dtype == whole.dtype
    assert pieces.output_shape[1:] == whole.shape[1:]
    np.testing.assert_array_equal(found, whole)
    return pieces


def of_layers(*layers: Any) -> Callable[[], Model]:
    return lambda: Sequential([Input((None, None, 3)), *layers])


def residual() -> Model:
    x = Input((None, None, 3))
    y = Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    z = BatchNormalization()(Conv2D(8, 3, padding="same")(y))
    z = Add()([y, z])
    up = UpSampling2D(2, interpolation="bilinear")(MaxPooling2D(2)(z))
    return Model(x, Concatenate()([z, up]))


NETWORKS: dict[str, Callable[[], Model]] = {
    "same": of_layers(Conv2D(4, 3, padding="same"), Conv2D(4, 5, padding="same", activation="gelu")),
    "valid": of_layers(Conv2D(4, 3), Conv2D(4, (1, 7), activation="relu")),
    "same, stride 2": of_layers(Conv2D(4, 3, strides=2, padding="same"), Conv2D(4, 3, strides=2, padding="same")),
    "valid, stride 2": of_layers(Conv2D(4, 3, strides=2), Conv2D(4, 4, strides=(1, 2))),
    "pools": of_layers(Conv2D(4, 3), MaxPooling2D(3, 2, "same"), AveragePooling2D(2, padding="same")),
    "ceil": of_layers(MaxPooling2D(3, 2, ceil_mode=True), Conv2D(4, 3)),
    "stride 3": of_layers(Conv2D(4, 3, strides=3, padding="same"), MaxPooling2D(2)),
    "dense": of_layers(Conv2D(4, 3, dilation_rate=4, padding="same"), Dense(5, activation="softmax")),
    "separable": of_layers(SeparableConv2D(6, 3, strides=2, padding="same"), BatchNormalization()),
    "cropped": of_layers(Conv2D(4, 3), Cropping2D(((5, 20), (0, 30))), MaxPooling2D(2), Cropping2D(1)),
    "up, cropped": of_layers(Conv2DTranspose(4, 2, strides=2, padding=((0, 1), (0, 1)))),
    "up, with gaps": of_layers(Conv2DTranspose(4, 4, strides=4, padding=1), Conv2DTranspose(4, 2, strides=3)),
    "up": of_layers(Conv2D(4, 3, strides=2, padding="same"), Conv2DTranspose(4, 3, strides=4, padding="same")),
    "ways": residual,
}


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("size", [(160, 132), (173, 131)])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_whole_s_bits(name: str, size: tuple[int, int], rng: np.random.Generator) -> None:
    model = NETWORKS[name]()
    if name == "ways":
        size = size[0] // 8 * 8, size[1] // 8 * 8
    model.set_weights([rng.uniform(0.01, 0.2, weight.shape) for weight in model.get_weights()])
    x = rng.standard_normal((2, *size, 3)).astype(np.float32)
    check(model.graph(x.shape), x)


@pytest.mark.usefixtures("strict")
def test_a_valid_unet(rng: np.random.Generator) -> None:
    """Its crops and its odd sizes: 572 leaves 12 of 16."""
    x = rng.standard_normal((1, 572, 444, 1)).astype(np.float32)
    graph = models.UNet(input_shape=(572, 444, 1), classes=2).graph(x.shape)
    pieces = check(graph, x, rows=(300, 272), columns=(222, 222))
    assert pieces.output_shape == (1, 388, 260, 2)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("mode", ["reflect", "replicate"])
def test_padding_modes_and_channels_first(mode: str, rng: np.random.Generator) -> None:
    graph = Graph(["x"], ["y"])
    weights = [graph.constant(rng.standard_normal((4, c, 3, 3)).astype(np.float32)) for c in (3, 4)]
    a = graph.add("conv2d", ["x", weights[0]], layout="NCHW", padding=1, padding_mode=mode)
    b = graph.add("pad2d", [a], layout="NCHW", padding=((2, 1), (0, 3)), mode=mode)
    c = graph.add("conv2d", [b, weights[1]], layout="NCHW", stride=2)
    graph.add("slice", [c], output="y", axes=(2, 3), starts=(3, 0), stops=(60, -2), steps=(1, 1))
    check(graph, rng.standard_normal((1, 3, 150, 140)).astype(np.float32), "NCHW")


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("mode", ["reflect", "replicate"])
def test_wide_borders_of_small_parts(mode: str, rng: np.random.Generator) -> None:
    """A part at the edge is at least as large as what is mirrored there."""
    graph = Graph(["x"], [])
    graph.outputs = [graph.add("pad2d", ["x"], padding=((5, 5), (6, 4)), mode=mode)]
    check(graph, rng.standard_normal((1, 60, 70, 2)).astype(np.float32), rows=(3,) * 20, columns=(2,) * 35)


def test_a_large_picture_is_not_worked_out_whole(rng: np.random.Generator) -> None:
    """Ten million pixels square: its shapes come from a smaller one that leaves the same remainders."""
    graph = Graph(["x"], ["y"])
    weight = graph.constant(rng.standard_normal((3, 3, 3, 4)).astype(np.float32))
    graph.add("conv2d", [graph.add("max_pool2d", ["x"], kernel_size=3), weight], output="y", stride=25, padding="same")
    pieces = Pieces(graph, Spec((1, 10_000_019, 10_000_001, 3), np.dtype(np.float32)))
    P, Q = (-(size // 3 // -25) for size in (10_000_019, 10_000_001))
    assert pieces.output_shape == (1, P, Q, 4)
    assert [field.period for field in pieces.fields] == [75, 75]


@pytest.mark.usefixtures("strict")
def test_a_copy_for_another_process(rng: np.random.Generator) -> None:
    x = rng.standard_normal((1, 40, 40, 3)).astype(np.float32)
    pieces = Pieces(NETWORKS["same"]().graph(x.shape), Spec.of(x))
    y = pieces(x)
    assert pickle.loads(pickle.dumps(pieces))(x).tobytes() == y.tobytes()


def test_worked_cuts() -> None:
    """VGG16's: output p reads 32 p - 90 ... 32 p + 121; 96 is the multiple of 32 from 90 on, and 90 of 32 leaves 26."""
    vgg16 = Field(32, 1, -90, 121, 212, 121)
    assert cut(vgg16, 1024, 32, (512, 512)) == Cut((512, 512), 96, 96, (16, 16), (0, 3))
    assert cut(vgg16, 1000, 31, (500, 500)) == Cut((512, 488), 96, 104, (16, 15), (0, 3))
    assert cut(vgg16, 1024, 32, (1000, 24)).inputs == (1024,), "a part must lend 96"
    assert cut(Field(1, 1, 0, 4, 5, 4), 20, 16, (10, 10)) == Cut((10, 10), 2, 2, (8, 8), (0, 0))


def test_several_outputs_are_refused() -> None:
    graph = Graph(["x"], [])
    graph.outputs = [graph.add("relu", ["x"]), graph.add("tanh", ["x"])]
    with pytest.raises(ValueError, match="one input and one output"):
        Pieces(graph, Spec((1, 8, 8, 1), np.dtype(np.float32)))
