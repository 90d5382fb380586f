"""LeNet-5 as the lectures have it: every map of a layer reads every map before it, and the end is a softmax."""

from cnnfast.layers import AveragePooling2D, Conv2D, Dense, Flatten, Input
from cnnfast.sequential import Sequential


def LeNet5(classes: int = 10) -> Sequential:
    """61,706 parameters; a 32x32 picture becomes 28, 14, 10, 5 wide, then 120, 84 and 10 numbers.

    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998. The paper's own
    third layer reads a table of maps and its pools have weights, 60,000 parameters in all.

    >>> from cnnfast.models import LeNet5
    >>> LeNet5().count_params()
    61706
    """
    return Sequential(
        [
            Input((32, 32, 1)),
            Conv2D(6, 5, activation="tanh"),
            AveragePooling2D(2),
            Conv2D(16, 5, activation="tanh"),
            AveragePooling2D(2),
            Flatten(),
            Dense(120, activation="tanh"),
            Dense(84, activation="tanh"),
            Dense(classes, activation="softmax"),
        ],
        name="lenet5",
    )
