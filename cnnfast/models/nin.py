"""Network in Network: 1x1 convolutions after each, and a global average where others have dense layers."""

from cnnfast.layers import Activation, Conv2D, Dropout, GlobalAveragePooling2D, Input, MaxPooling2D
from cnnfast.sequential import Sequential


def NetworkInNetwork(classes: int = 1000) -> Sequential:
    """7,595,176 parameters: the ImageNet form that Caffe's model zoo has, on 227x227 pictures.

    Lin, Chen and Yan, "Network in network", arXiv:1312.4400.

    >>> from cnnfast.models import NetworkInNetwork
    >>> NetworkInNetwork().count_params()
    7595176
    """
    return Sequential(
        [
            Input((227, 227, 3)),
            Conv2D(96, 11, strides=4, activation="relu", name="conv1"),
            Conv2D(96, 1, activation="relu", name="cccp1"),
            Conv2D(96, 1, activation="relu", name="cccp2"),
            MaxPooling2D(3, strides=2, name="pool1"),
            Conv2D(256, 5, padding="same", activation="relu", name="conv2"),
            Conv2D(256, 1, activation="relu", name="cccp3"),
            Conv2D(256, 1, activation="relu", name="cccp4"),
            MaxPooling2D(3, strides=2, name="pool2"),
            Conv2D(384, 3, padding="same", activation="relu", name="conv3"),
            Conv2D(384, 1, activation="relu", name="cccp5"),
            Conv2D(384, 1, activation="relu", name="cccp6"),
            MaxPooling2D(3, strides=2, name="pool3"),
            Dropout(0.5),
            Conv2D(1024, 3, padding="same", activation="relu", name="conv4"),
            Conv2D(1024, 1, activation="relu", name="cccp7"),
            Conv2D(classes, 1, activation="relu", name="cccp8"),
            GlobalAveragePooling2D(name="pool4"),
            Activation("softmax", name="softmax"),
        ],
        name="network_in_network",
    )
