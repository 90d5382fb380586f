"""AlexNet: the network of 2012, and the one-tower form of 2014 that torchvision has."""

from cnnfast.layers import (
    AdaptiveAveragePooling2D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    LocalResponseNormalization,
    MaxPooling2D,
)
from cnnfast.layers.base import Layer
from cnnfast.sequential import Sequential


def AlexNet(groups: int = 2, classes: int = 1000) -> Sequential:
    """60,965,224 parameters with groups=2, the halves of the two GPUs; 62,378,344 with groups=1, as lectures count.

    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012. A 227x227
    picture becomes 55, 27, 13 and 6 wide; pools of 3 overlap, 2 apart. The paper's alpha of 1e-4 is not divided by the
    size of 5 as ours is, so here it is 5e-4.

    >>> from cnnfast.models import AlexNet
    >>> AlexNet().count_params(), AlexNet(groups=1).count_params()
    (60965224, 62378344)
    """

    def normalised(name: str) -> Layer:
        return LocalResponseNormalization(size=5, alpha=5e-4, beta=0.75, k=2.0, name=name)

    return Sequential(
        [
            Input((227, 227, 3)),
            Conv2D(96, 11, strides=4, activation="relu", name="conv1"),
            normalised("norm1"),
            MaxPooling2D(3, strides=2, name="pool1"),
            Conv2D(256, 5, padding="same", groups=groups, activation="relu", name="conv2"),
            normalised("norm2"),
            MaxPooling2D(3, strides=2, name="pool2"),
            Conv2D(384, 3, padding="same", activation="relu", name="conv3"),
            Conv2D(384, 3, padding="same", groups=groups, activation="relu", name="conv4"),
            Conv2D(256, 3, padding="same", groups=groups, activation="relu", name="conv5"),
            MaxPooling2D(3, strides=2, name="pool5"),
            Flatten(),
            Dense(4096, activation="relu", name="fc6"),
            Dropout(0.5),
            Dense(4096, activation="relu", name="fc7"),
            Dropout(0.5),
            Dense(classes, activation="softmax", name="fc8"),
        ],
        name="alexnet",
    )


def AlexNetOneTower(classes: int = 1000) -> Sequential:
    """61,100,840 parameters: torchvision's alexnet. It ends in logits, without a softmax.

    Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997. torch flattens
    channels first, Keras last: the rows of the first dense kernel are in another order than torchvision's columns.

    >>> from cnnfast.models import AlexNetOneTower
    >>> AlexNetOneTower().count_params()
    61100840
    """
    return Sequential(
        [
            Input((224, 224, 3)),
            Conv2D(64, 11, strides=4, padding=2, activation="relu", name="conv1"),
            MaxPooling2D(3, strides=2, name="pool1"),
            Conv2D(192, 5, padding=2, activation="relu", name="conv2"),
            MaxPooling2D(3, strides=2, name="pool2"),
            Conv2D(384, 3, padding=1, activation="relu", name="conv3"),
            Conv2D(256, 3, padding=1, activation="relu", name="conv4"),
            Conv2D(256, 3, padding=1, activation="relu", name="conv5"),
            MaxPooling2D(3, strides=2, name="pool5"),
            AdaptiveAveragePooling2D(6, name="avgpool"),
            Flatten(),
            Dropout(0.5),
            Dense(4096, activation="relu", name="fc6"),
            Dropout(0.5),
            Dense(4096, activation="relu", name="fc7"),
            Dense(classes, name="fc8"),
        ],
        name="alexnet_one_tower",
    )
