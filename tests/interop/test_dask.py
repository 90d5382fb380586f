"""Convolutions and networks over Dask arrays: the bits of the whole, on two processes."""

import doctest
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast import Input, Model, Sequential, layers, models

pytest.importorskip("dask.array", reason='arrays in parts: pip install "dask[array]"')
distributed = pytest.importorskip("distributed", reason="a cluster of two processes: pip install distributed")
import dask
import dask.array as da

from cnnfast.interop import dask as parts


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two processes of one thread each."""
    with (
        dask.config.set({"distributed.worker.memory.terminate": False}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, env={"CNNFAST_NUM_THREADS": "1"}
        ) as made,
        distributed.Client(made) as client,
    ):  # fmt: skip
        yield client


@pytest.fixture
def image(rng: np.random.Generator) -> Any:
    return rng.standard_normal((2, 301, 224, 3)).astype(np.float32)


CHUNKS = (1, (100, 90, 111), 75, 2)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_conv2d(stride: int, padding: str, cluster: Any, image: Any, rng: np.random.Generator) -> None:
    weight, bias = rng.standard_normal((5, 3, 3, 4)).astype(np.float32), rng.standard_normal(4).astype(np.float32)
    given = {"stride": stride, "padding": padding, "activation": "gelu", "precision": "strict"}
    y = parts.conv2d(da.from_array(image, chunks=CHUNKS), weight, bias, **given)
    whole = cnnfast.conv2d(image, weight, bias, **given)
    assert y.shape == whole.shape
    assert y.dtype == whole.dtype
    assert [len(each) for each in y.chunks] == [2, 3, 3, 1]
    assert y.compute().tobytes() == whole.tobytes()


def skipping(padding: str) -> Model:
    """Convolutions, pools, batch normalisation, a branch that is joined again; strides of 8 in all."""
    L = layers
    x = Input((None, None, 3))
    a = L.Conv2D(8, 3, strides=2, padding=padding, activation="relu")(x)
    b = L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same")(a))
    b = L.MaxPooling2D(2, padding=padding)(L.Add()([a, b]))
    c = L.AveragePooling2D(3, strides=2, padding=padding)(L.Conv2D(8, 3, padding=padding)(b))
    return Model(x, L.Conv2D(5, 1, activation="softmax")(c))


NETWORKS = {
    "same": lambda: skipping("same"),
    "valid": lambda: skipping("valid"),
    "u-net": lambda: models.UNet("same", input_shape=(304, 224, 3)),
}


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str, cluster: Any, image: Any) -> None:
    model = NETWORKS[name]()
    picture = np.pad(image[:1], ((0, 0), (0, 3), (0, 0), (0, 0))) if name == "u-net" else image
    y = parts.apply(model, da.from_array(picture, chunks=(1, 112, 112, 3)), precision="strict")
    whole = model.predict(picture)
    assert y.shape == whole.shape
    assert y.numblocks[1:] == ((2, 2, 1) if name == "u-net" else (3, 2, 1))
    found = y.compute()
    if name == "u-net":  # the sign of a zero may be another behind a transposed convolution
        assert np.array_equal(found, whole)
    else:
        assert found.tobytes() == whole.tobytes()


def test_default_precision(image: Any) -> None:
    """Without "strict" parts may take other algorithms than the whole: the same within their bounds."""
    model = skipping("same")
    y = parts.apply(model, da.from_array(image, chunks=(1, 128, 112, 3)))
    np.testing.assert_allclose(y.compute(scheduler="synchronous"), model.predict(image), rtol=1e-4, atol=1e-6)


def test_a_picture_larger_than_memory() -> None:
    """4 TB of zeros: of a corner two parts are computed; a network over 12 TB is laid out."""
    x = da.zeros((1, 10**6, 10**6, 1), dtype=np.float32, chunks=(1, 1000, 1000, 1))
    weight = np.ones((3, 3, 1, 1), np.float32)
    y = parts.conv2d(x[:, :5000, :5000] + 1, weight, padding="same", precision="strict")
    assert y[0, :2, :2, 0].compute(scheduler="synchronous").tolist() == [[4, 6], [6, 9]]
    assert y[0, 2999:3001, 1000, 0].compute(scheduler="synchronous").tolist() == [9, 9]
    pieces = parts.apply(skipping("same"), da.zeros((1, 10**6 + 1, 10**6, 3), chunks=(1, 10**5, 10**5, 3)))
    assert pieces.shape == (1, 125001, 125000, 5)


@pytest.mark.usefixtures("strict")
def test_onnx(image: Any, rng: np.random.Generator) -> None:
    onnx = pytest.importorskip("onnx", reason="to write a model's file: pip install onnx")
    import cnnfast.onnx

    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    weights = [rng.standard_normal(shape).astype(np.float32) for shape in ((8, 3, 3, 3), (4, 8, 3, 3))]
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["b"], auto_pad="SAME_UPPER", strides=[2, 2]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("MaxPool", ["c"], ["d"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["d", "e"], ["y"], dilations=[2, 2]),
    ]
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", c, "h", "w"]) for name, c in zip(
        "xy", (3, 4), strict=True)]  # fmt: skip
    held = [numpy_helper.from_array(weight, name) for weight, name in zip(weights, "ae", strict=True)]
    file = helper.make_model(helper.make_graph(nodes, "g", value[:1], value[1:], held)).SerializeToString()
    x = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
    whole = cnnfast.onnx.load(file)(x)[0]
    for model in (cnnfast.onnx.load(file), cnnfast.onnx.InferenceSession(file)):
        y = parts.apply(model, da.from_array(x, chunks=(2, 3, 100, 100)), precision="strict")
        assert y.numblocks == (1, 1, 3, 3)
        assert y.compute(scheduler="synchronous").tobytes() == whole.tobytes()
    with pytest.raises(TypeError, match="x must be float32"):
        parts.apply(model, da.zeros((1, 3, 64, 64)))
    with pytest.raises(ValueError, match="only input's shape"):
        parts.apply(model, da.zeros((1, 4, 64, 64), dtype=np.float32))


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ([layers.GlobalAveragePooling2D(name="gap")], r"gap \(adaptive_avg_pool2d\): it reads the whole picture"),
        ([layers.Flatten(name="flat"), layers.Dense(2)], r"flat \(reshape\).* a dense layer"),
        ([layers.GlobalMaxPooling2D(name="gmp", keepdims=True)], r"gmp .*whole picture"),
    ],
)
def test_networks_that_cannot_be_cut(last: list[Any], words: str) -> None:
    model = Sequential([Input((64, 64, 3)), layers.Conv2D(4, 3), *last])
    with pytest.raises(ValueError, match=f"cannot run on parts of a picture: {words}"):
        parts.apply(model, da.zeros((1, 64, 64, 3), dtype=np.float32))


def test_batch_statistics_cannot_be_cut() -> None:
    onnx = pytest.importorskip("onnx", reason="to write a model's file: pip install onnx")
    import cnnfast.onnx

    helper = onnx.helper
    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 2, "h", "w"])
    out = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 2, "h", "w"])
    held = [onnx.numpy_helper.from_array(np.ones(2, np.float32), name) for name in "sb"]
    node = helper.make_node("InstanceNormalization", ["x", "s", "b"], ["y"], "norm3")
    file = helper.make_model(helper.make_graph([node], "g", [value], [out], held)).SerializeToString()
    with pytest.raises(ValueError, match=r"norm3 .*may read the whole picture"):
        parts.apply(cnnfast.onnx.load(file), da.zeros((1, 2, 64, 64), dtype=np.float32))


def test_bad_arguments() -> None:
    weight, x = np.ones((3, 3, 1, 1), np.float32), da.zeros((1, 16, 16, 1), dtype=np.float32)
    for given, error, words in (
        ((np.zeros((1, 16, 16, 1)), weight), TypeError, "x must be a Dask array, got ndarray"),
        ((x[0], weight), ValueError, "x must be 4-dimensional"),
        ((x, np.ones((3, 3, 2, 1), np.float32)), ValueError, "weight must have C/groups"),
    ):
        with pytest.raises(error, match=words):
            parts.conv2d(*given)
    with pytest.raises(ValueError, match="stride must be >= 1"):
        parts.conv2d(x, weight, stride=0)
    with pytest.raises(ValueError, match="other side"):
        parts.conv2d(x, weight, padding=1, padding_mode="circular")
    with pytest.raises(ValueError, match="precision must be one of"):
        parts.conv2d(x, weight, precision="exact")
    with pytest.raises(TypeError, match=r"model must be a cnnfast\.Model"):
        parts.apply(lambda x: x, x)


def test_examples() -> None:
    assert doctest.testmod(parts).failed == 0
