"""The architectures of the lectures, one file each. Their weights are drawn, not trained.

`Sequential` and `Model` are here as well, where Keras has them.
"""

from collections.abc import Callable

from cnnfast.layers.input import Input
from cnnfast.model import Model
from cnnfast.models.alexnet import AlexNet, AlexNetOneTower
from cnnfast.models.lenet import LeNet5
from cnnfast.models.nin import NetworkInNetwork
from cnnfast.models.vgg import VGG16, VGG19
from cnnfast.sequential import Sequential

__all__ = [
    "MODELS",
    "VGG16",
    "VGG19",
    "AlexNet",
    "AlexNetOneTower",
    "Input",
    "LeNet5",
    "Model",
    "NetworkInNetwork",
    "Sequential",
]

MODELS: dict[str, Callable[[], Sequential]] = {
    "lenet5": LeNet5,
    "alexnet": AlexNet,
    "alexnet-ungrouped": lambda: AlexNet(groups=1),
    "alexnet-one-tower": AlexNetOneTower,
    "vgg16": VGG16,
    "vgg19": VGG19,
    "nin": NetworkInNetwork,
}
"""The architectures by the names the command line has for them."""
