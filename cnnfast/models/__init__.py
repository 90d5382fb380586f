"""The architectures of the lectures, one file each. Their weights are drawn, not trained: `load_weights` and
`load_torch` read trained ones.

`Sequential` and `Model` are here as well, where Keras has them.
"""

from collections.abc import Callable

from cnnfast.layers.input import Input
from cnnfast.model import Model
from cnnfast.models.alexnet import AlexNet, AlexNetOneTower
from cnnfast.models.fcn import FCN8s, FCN32s
from cnnfast.models.googlenet import GoogLeNet, GoogLeNetBN
from cnnfast.models.inception import InceptionV3
from cnnfast.models.lenet import LeNet5
from cnnfast.models.mobilenet import MobileNet, MobileNetV2
from cnnfast.models.nin import NetworkInNetwork
from cnnfast.models.resnet import Plain34, ResNet18, ResNet20, ResNet34, ResNet50, ResNet152
from cnnfast.models.squeezenet import SqueezeNet
from cnnfast.models.torchvision import load_torch
from cnnfast.models.unet import UNet
from cnnfast.models.vgg import VGG16, VGG19
from cnnfast.models.yolo import TinyYOLOv2
from cnnfast.sequential import Sequential

__all__ = [
    "MODELS",
    "VGG16",
    "VGG19",
    "AlexNet",
    "AlexNetOneTower",
    "FCN8s",
    "FCN32s",
    "GoogLeNet",
    "GoogLeNetBN",
    "InceptionV3",
    "Input",
    "LeNet5",
    "MobileNet",
    "MobileNetV2",
    "Model",
    "NetworkInNetwork",
    "Plain34",
    "ResNet18",
    "ResNet20",
    "ResNet34",
    "ResNet50",
    "ResNet152",
    "Sequential",
    "SqueezeNet",
    "TinyYOLOv2",
    "UNet",
    "load_torch",
]

MODELS: dict[str, Callable[[], Model]] = {
    "lenet5": LeNet5,
    "alexnet": AlexNet,
    "alexnet-ungrouped": lambda: AlexNet(groups=1),
    "alexnet-one-tower": AlexNetOneTower,
    "vgg16": VGG16,
    "vgg19": VGG19,
    "nin": NetworkInNetwork,
    "googlenet": GoogLeNet,
    "googlenet-bn": GoogLeNetBN,
    "inception-v3": InceptionV3,
    "resnet18": ResNet18,
    "resnet20": ResNet20,
    "resnet34": ResNet34,
    "resnet50": ResNet50,
    "resnet50-keras": lambda: ResNet50(form="keras"),
    "resnet152": ResNet152,
    "plain34": Plain34,
    "mobilenet": MobileNet,
    "mobilenet-v2": MobileNetV2,
    "squeezenet": SqueezeNet,
    "unet": UNet,
    "unet-same": lambda: UNet("same"),
    "fcn8s": FCN8s,
    "fcn32s": FCN32s,
    "tiny-yolo-v2": TinyYOLOv2,
}
"""The architectures by the names the command line has for them."""
