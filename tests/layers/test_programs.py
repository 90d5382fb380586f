"""The lectures' programs, as they stand in Keras: `from tensorflow.keras...` became `from cnnfast...`, and no more."""

import re
from collections.abc import Callable

import numpy as np
import pytest

THREE_VALID = """
from cnnfast.models import Sequential
from cnnfast.layers import Conv2D, Dense, Flatten

model = Sequential()
model.add(Conv2D(32, kernel_size=(3, 3), padding='valid', activation='relu', input_shape=(28, 28, 1)))
model.add(Conv2D(32, kernel_size=(3, 3), padding='valid', activation='relu'))
model.add(Conv2D(32, kernel_size=(3, 3), padding='valid', activation='relu'))
model.add(Flatten())
model.add(Dense(128, activation='relu'))
model.add(Dense(10, activation='softmax'))
model.summary()
"""
THREE_SAME = THREE_VALID.replace("'valid'", "'same'")
THREE_STRIDED = THREE_SAME.replace("(3, 3), padding='same'", "(3, 3), padding='same', strides=(2, 2)")
POOLING = """
from cnnfast import Sequential
from cnnfast.layers import Conv2D, MaxPooling2D, Dense, Flatten

model = Sequential()
model.add(Conv2D(32, kernel_size=(3, 3), padding='valid', activation='relu', input_shape=(28, 28, 1)))
model.add(MaxPooling2D(pool_size=(2, 2), strides=2, padding='valid'))
model.add(Conv2D(32, kernel_size=(3, 3), padding='valid', activation='relu'))
model.add(MaxPooling2D(pool_size=(2, 2), strides=2, padding='valid'))
model.add(Flatten())
model.add(Dense(128, activation='relu'))
model.add(Dense(10, activation='softmax'))
model.summary()
"""
LENET = """
from cnnfast import Sequential, layers

model = Sequential()
model.add(layers.Conv2D(6, kernel_size=(5, 5), padding='valid', activation='tanh', input_shape=(32, 32, 1)))
model.add(layers.AveragePooling2D(pool_size=(2, 2), strides=2, padding='valid'))
model.add(layers.Conv2D(16, kernel_size=(5, 5), padding='valid', activation='tanh'))
model.add(layers.AveragePooling2D(pool_size=(2, 2), strides=2, padding='valid'))
model.add(layers.Flatten())
model.add(layers.Dense(120, activation='tanh'))
model.add(layers.Dense(84, activation='tanh'))
model.add(layers.Dense(10, activation='softmax'))
model.summary()
"""


def convolutions(*rows: tuple[tuple[int, ...], int]) -> list[tuple[str, tuple[int, ...], int]]:
    names = ("conv2d (Conv2D)", "conv2d_1 (Conv2D)", "conv2d_2 (Conv2D)", "flatten (Flatten)", "dense (Dense)")
    return [(name, *row) for name, row in zip((*names, "dense_1 (Dense)"), rows, strict=True)]


EXPECTED = {
    "valid": (
        THREE_VALID,
        convolutions(
            ((26, 26, 32), 320), ((24, 24, 32), 9248), ((22, 22, 32), 9248), ((15488,), 0), ((128,), 1982592),
            ((10,), 1290),
        ),
        2_002_698,
    ),
    "same": (
        THREE_SAME,
        convolutions(
            ((28, 28, 32), 320), ((28, 28, 32), 9248), ((28, 28, 32), 9248), ((25088,), 0), ((128,), 3211392),
            ((10,), 1290),
        ),
        3_231_498,
    ),
    "same, stride 2": (
        THREE_STRIDED,
        convolutions(
            ((14, 14, 32), 320), ((7, 7, 32), 9248), ((4, 4, 32), 9248), ((512,), 0), ((128,), 65664), ((10,), 1290)
        ),
        85_770,
    ),
    "pooling": (
        POOLING,
        [
            ("conv2d (Conv2D)", (26, 26, 32), 320), ("max_pooling2d (MaxPooling2D)", (13, 13, 32), 0),
            ("conv2d_1 (Conv2D)", (11, 11, 32), 9248), ("max_pooling2d_1 (MaxPooling2D)", (5, 5, 32), 0),
            ("flatten (Flatten)", (800,), 0), ("dense (Dense)", (128,), 102528), ("dense_1 (Dense)", (10,), 1290),
        ],
        113_386,
    ),
    "LeNet-5": (
        LENET,
        [
            ("conv2d (Conv2D)", (28, 28, 6), 156), ("average_pooling2d (AveragePooling2D)", (14, 14, 6), 0),
            ("conv2d_1 (Conv2D)", (10, 10, 16), 2416), ("average_pooling2d_1 (AveragePooling2D)", (5, 5, 16), 0),
            ("flatten (Flatten)", (400,), 0), ("dense (Dense)", (120,), 48120), ("dense_1 (Dense)", (84,), 10164),
            ("dense_2 (Dense)", (10,), 850),
        ],
        61_706,
    ),
}  # fmt: skip
programs = pytest.mark.parametrize(("program", "rows", "total"), EXPECTED.values(), ids=EXPECTED)
ROW = re.compile(r"^│ (\w+ \(\w+\)) +│ \(None, ([\d, ]+?),?\) +│ +([\d,]+) │$", re.MULTILINE)


@programs
def test_the_program_prints_keras_rows(
    program: str, rows: list[tuple[str, tuple[int, ...], int]], total: int, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(program, {})
    text = capsys.readouterr().out
    found = [
        (name, tuple(map(int, shape.split(", "))), int(count.replace(",", "")))
        for name, shape, count in ROW.findall(text)
    ]
    assert found == rows
    assert f"Total params: {total:,} " in text
    assert text.startswith('Model: "sequential"\n┏━')


@programs
def test_its_network_runs(program: str, rows: list[tuple[str, tuple[int, ...], int]], total: int) -> None:
    names: dict[str, object] = {}
    exec(program.replace("model.summary()", ""), names)
    model = names["model"]
    x = np.random.default_rng(1).random((3, *model.input_shape[1:]))  # type: ignore[attr-defined]
    y = model.predict(x)  # type: ignore[attr-defined]
    assert y.shape == (3, 10)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)


KERAS_TABLE = """\
Model: "sequential"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ conv2d (Conv2D)                 │ (None, 26, 26, 32)     │           320 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ max_pooling2d (MaxPooling2D)    │ (None, 13, 13, 32)     │             0 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 320 (1.25 KB)
 Trainable params: 320 (1.25 KB)
 Non-trainable params: 0 (0.00 B)
"""


def test_the_table_is_keras_own(capsys: pytest.CaptureFixture[str]) -> None:
    from cnnfast import Sequential
    from cnnfast.layers import Conv2D, Input, MaxPooling2D

    Sequential([Input((28, 28, 1)), Conv2D(32, 3), MaxPooling2D(2)]).summary()
    assert capsys.readouterr().out == KERAS_TABLE


def test_a_network_that_waits_for_its_input(capsys: pytest.CaptureFixture[str]) -> None:
    from cnnfast import Sequential
    from cnnfast.layers import Dense

    model = Sequential([Dense(3)])
    lines: list[str] = []
    printing: Callable[[str], None] = lines.append
    model.summary(print_fn=printing)
    assert re.search(r"│ dense \(Dense\) +│ \? +│ +0 \(unbuilt\) │", lines[0])
    model.build((None, 4))
    assert model.count_params() == 15
    assert not capsys.readouterr().out
