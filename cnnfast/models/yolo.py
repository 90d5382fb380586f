"""Tiny-YOLOv2: a picture becomes a grid, each of whose cells tells of five boxes."""

from collections.abc import Sequence

from cnnfast.layers import BatchNormalization, Conv2D, Input, LeakyReLU, MaxPooling2D
from cnnfast.sequential import Sequential

ANCHORS = 5


def TinyYOLOv2(input_shape: Sequence[int | None] = (416, 416, 3), classes: int = 20) -> Sequential:
    """15,867,885 parameters, 6,112 statistics among them; 416x416 becomes 13x13 cells of 5 * (4 + 1 + 20) numbers.

    Redmon and Farhadi, "YOLO9000: better, faster, stronger", arXiv:1612.08242, in darknet's yolov2-tiny-voc. The sixth
    pool has stride 1 and reads one pixel beyond the end, which never wins.

    >>> from cnnfast.models import TinyYOLOv2
    >>> TinyYOLOv2().count_params(), TinyYOLOv2().output_shape
    (15867885, (None, 13, 13, 125))
    """
    model = Sequential([Input(tuple(input_shape))], name="tiny_yolo_v2")
    for i, filters in enumerate((16, 32, 64, 128, 256, 512, 1024, 1024), 1):
        model.add(Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv{i}"))
        model.add(BatchNormalization(epsilon=1e-5, name=f"bn{i}"))
        model.add(LeakyReLU(0.1, name=f"leaky{i}"))
        if i <= 6:
            model.add(MaxPooling2D(2, strides=2 if i < 6 else 1, padding="same", name=f"pool{i}"))
    model.add(Conv2D(ANCHORS * (5 + classes), 1, name="conv9"))
    return model
