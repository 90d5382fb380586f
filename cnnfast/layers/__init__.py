"""The layers, in Keras' words and with its defaults: channels last, float32.

>>> from cnnfast import Sequential
>>> from cnnfast.layers import Conv2D, Dense, Flatten
>>> model = Sequential([Conv2D(6, 5, activation="tanh", input_shape=(32, 32, 1)), Flatten(), Dense(10)])
>>> model.count_params()
47206
"""

from cnnfast.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from cnnfast.layers.augmentation import RandomContrast, RandomCrop, RandomFlip
from cnnfast.layers.augmentation_affine import RandomRotation, RandomTranslation, RandomZoom
from cnnfast.layers.base import Layer
from cnnfast.layers.border import Cropping2D, UpSampling2D, ZeroPadding2D
from cnnfast.layers.conv import Conv1D, Conv2D, Conv3D
from cnnfast.layers.conv_transpose import Conv2DTranspose
from cnnfast.layers.dense import Dense
from cnnfast.layers.depthwise import DepthwiseConv2D, SeparableConv2D
from cnnfast.layers.input import Input, InputLayer
from cnnfast.layers.merge import Add, Concatenate, Multiply
from cnnfast.layers.normalization import BatchNormalization, LocalResponseNormalization
from cnnfast.layers.pooling import (
    AdaptiveAveragePooling2D,
    AveragePooling2D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
    MinPooling2D,
)
from cnnfast.layers.reshape import Dropout, Flatten, Reshape

__all__ = [
    "ELU",
    "Activation",
    "AdaptiveAveragePooling2D",
    "Add",
    "AveragePooling2D",
    "BatchNormalization",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Cropping2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "LocalResponseNormalization",
    "MaxPooling2D",
    "MinPooling2D",
    "Multiply",
    "PReLU",
    "RandomContrast",
    "RandomCrop",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "Reshape",
    "SeparableConv2D",
    "Softmax",
    "UpSampling2D",
    "ZeroPadding2D",
]
