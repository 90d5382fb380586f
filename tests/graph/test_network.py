"""What a graph is lowered to: where values lie, what runs at once, what comes back."""

import gc
import threading
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

import cnnfast
import cnnfast.onnx  # whose ops are rows too
from cnnfast.graph.executable import Executable
from cnnfast.graph.ir import Graph, Spec
from cnnfast.graph.lower import lay_out
from cnnfast.graph.network import Network

Same = Callable[..., list[str]]
FLOAT32 = np.dtype(np.float32)


def normal(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def convs(g: Graph, x: str, count: int) -> str:
    for i in range(count):
        x = g.add("conv2d", [x, g.constant(normal(3, 3, 4, 4, seed=i) / 6)], padding=1, activation="relu")
    return x


def ready(g: Graph, **shapes: tuple[int, ...]) -> Executable:
    return Network(g).executable({name: Spec(shape, FLOAT32) for name, shape in shapes.items()})


def residual_blocks() -> Graph:
    g = Graph(["x"], [])
    x = convs(g, "x", 1)
    for _ in range(3):
        x = g.add("add", [convs(g, x, 2), x], activation="relu")
    g.outputs = [x, g.add("reshape", [x], shape=(0, -1))]
    return g


def test_values_that_live_at_once_lie_apart() -> None:
    program = ready(residual_blocks(), x=(2, 6, 6, 4)).program
    places, size = lay_out(program, set())
    last = {program.roots[value]: i for i, step in enumerate(program.steps) for value in step.sources}
    assert size <= 3 * 2 * 6 * 6 * 4 * 4
    written: dict[str, int] = {}
    for i, step in enumerate(program.steps):
        root = program.roots[step.targets[0]]
        for other, first in written.items():
            if first < i <= last.get(other, -1) and other != root:
                a, b = places[root], places[other]
                bytes_ = program.specs[root].size * 4
                assert a + bytes_ <= b or b + bytes_ <= a, (root, other)
        written.setdefault(root, i)


def test_outputs_that_are_views_inputs_or_constants(same: Same) -> None:
    g = Graph(["x"], [])
    y = convs(g, "x", 1)
    flat, constant = g.add("reshape", [y], shape=(0, -1)), g.constant(normal(3))
    g.outputs = ["x", y, flat, g.add("reshape", ["x"], shape=(-1,)), constant]
    same(g, x=normal(2, 5, 5, 4))
    x = normal(2, 5, 5, 4)
    results = ready(g, x=x.shape).run([x])
    assert not any(np.shares_memory(y, x) or np.shares_memory(y, g.constants[constant]) for y in results)


def test_values_of_unknown_shape_run_as_they_come(same: Same) -> None:
    """What a slice's length is told by data, and what comes after it."""
    g = Graph(["x"], [])
    y = convs(g, "x", 2)
    rows = g.add("onnx.Compress@9", [g.add("reshape", [y], shape=(-1, 4)), g.add("onnx.Greater@7", [
        g.add("reshape", [
            g.add("slice", [g.add("reshape", ["x"], shape=(-1, 4))], axes=(1,), starts=(0,), stops=(1,), steps=(1,))
        ], shape=(-1,)),
        g.constant(np.float32(0))])], axis=0)  # fmt: skip
    g.outputs = [g.add("relu", [rows]), y]
    for seed in range(3):
        same(g, x=normal(1, 5, 5, 4, seed=seed))


def test_threads_share_an_executable() -> None:
    executable = ready(residual_blocks(), x=(1, 16, 16, 4))
    xs = [normal(1, 16, 16, 4, seed=i) for i in range(4)]
    expected = [executable.run([x]) for x in xs]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(50):
            results = executable.run([xs[i]])
            if not all(np.array_equal(a, b) for a, b in zip(results, expected[i], strict=True)):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_error_names_the_node() -> None:
    g = Graph(["x"], [])
    g.outputs = [g.add("conv2d", ["x", g.constant(normal(3, 3, 5, 4))], "stem")]
    with pytest.raises(ValueError, match=r"stem \(conv2d\): "):
        ready(g, x=(1, 8, 8, 4))


def test_models_and_graphs_agree_at_every_batch(rng: np.random.Generator) -> None:
    model = cnnfast.models.LeNet5()
    network = Network(model.graph((1, 32, 32, 1)))
    for n in (1, 4, 0, 2):
        x = rng.standard_normal((n, 32, 32, 1), np.float32)
        (y,) = network.executable({network.graph.inputs[0]: Spec.of(x)}).run([x])
        np.testing.assert_array_equal(y, model.predict(x))


def test_constants_of_the_whole_shape_are_not_another_batchs(same: Same) -> None:
    """Weights that hold the batch's size: a plan made for one batch is not the next one's."""
    g = Graph(["x"], [])
    product = g.add("matmul", ["x", g.constant(normal(4, 3))])
    rows = g.add("slice", [g.add("onnx.Shape@1", ["x"])], axes=(0,), starts=(0,), stops=(1,), steps=(1,))
    g.outputs = [g.add("multiply", [product, g.add("cast", [rows], dtype=FLOAT32)])]
    network = Network(g)
    for n in (2, 5, 2):
        x = normal(n, 4, seed=n)
        (y,) = network.executable({"x": Spec.of(x)}).run([x])
        np.testing.assert_allclose(y, x @ g.constants[g.nodes[0].inputs[1]] * n, rtol=1e-5)


def test_a_repeated_constant_is_no_bias(same: Same) -> None:
    """It gives an axis more."""
    g = Graph(["x"], [])
    product = g.add("matmul", ["x", g.constant(normal(4, 3))])
    g.outputs = [g.add("add", [product, g.constant(normal(1, 1, 3))])]
    same(g, x=normal(2, 4))


def test_plans_are_few_where_the_first_axis_is_not_the_batch() -> None:
    g = Graph(["x"], [])
    g.outputs = [convs(g, g.add("reshape", ["x"], shape=(1, -1, 8, 4)), 1)]
    network = Network(g)
    for n in range(4, 20):
        network.executable({"x": Spec((n, 8, 4), FLOAT32)})
    assert sum(len(plans._ready) for plans in network._plans.values()) <= 4


def test_outputs_share_no_memory() -> None:
    g = Graph(["x"], [])
    y = convs(g, "x", 1)
    g.outputs = [y, g.add("reshape", [y], shape=(0, -1)), y]
    results = ready(g, x=(2, 5, 5, 4)).run([normal(2, 5, 5, 4)])
    assert not any(np.shares_memory(a, b) for i, a in enumerate(results) for b in results[:i])


@pytest.mark.parametrize("kind", ["max_pool2d", "min_pool2d"])
@pytest.mark.parametrize(
    ("first", "pool"),
    [(True, {}), (False, {}), (True, {"stride": 1}), (True, {"padding": 1}), (True, {"ceil_mode": True})],
)
def test_a_skip_that_a_pool_reads_lies_in_its_concatenation(kind: str, first: bool, pool: dict[str, object]) -> None:
    g = Graph(["x"], [])
    skip = convs(g, "x", 1)
    low = g.add(kind, [skip], kernel_size=2, **pool)
    up = g.add("conv2d", [convs(g, "x", 2), g.constant(normal(1, 1, 4, 8))])
    wide = g.add("concatenate", [skip, up] if first else [up, skip], axis=-1)
    g.outputs = [convs(g, low, 1), g.add("conv2d", [wide, g.constant(normal(3, 3, 12, 4))])]
    x = normal(2, 7, 9, 4)
    executable = ready(g, x=x.shape)
    copies = [step for step in executable.program.steps if step.nodes[-1].op == "concatenate"]
    assert len(copies) == (0 if first and pool.keys() <= {"stride"} else 1)
    values = {"x": x, **g.constants}
    for node in g.nodes:
        inputs = [values[each] for each in node.inputs]
        if node.op == "concatenate":
            values[node.outputs[0]] = np.concatenate(inputs, axis=-1)
        else:
            values[node.outputs[0]] = getattr(cnnfast, node.op)(*inputs, **node.attributes)
    for y, name in zip(executable.run([x]), g.outputs, strict=True):
        assert np.allclose(y, values[name], rtol=1e-4, atol=1e-5)


def test_buffers_go_with_the_executable() -> None:
    executable = ready(residual_blocks(), x=(2, 64, 64, 4))
    tracemalloc.start()
    gc.disable()
    try:
        executable.run([normal(2, 64, 64, 4)])
        held = tracemalloc.get_traced_memory()[0]
        arena = executable.arena_size
        del executable
        assert tracemalloc.get_traced_memory()[0] < held - 0.9 * arena
    finally:
        gc.enable()
        tracemalloc.stop()


def test_small_buffers_begin_at_a_cache_line_too() -> None:
    executable = ready(residual_blocks(), x=(2, 6, 6, 4))
    assert executable.arena_size < 16384
    value = next(root for root, at in executable._places.items() if at == 0)
    places = [executable._placer() for _ in range(8)]  # all alive: none has the memory of another
    assert {place(value).ctypes.data % 64 for place in places} == {0}
