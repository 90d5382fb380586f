"""LeNet-5 as the lectures have it: every map of a layer reads every map before it, and the end is a softmax."""

from importlib.resources import as_file, files

from cnnfast.layers import AveragePooling2D, Conv2D, Dense, Flatten, Input
from cnnfast.ops import checks
from cnnfast.sequential import Sequential

TRAINED = {"digits": "lenet5_digits.npz"}


def LeNet5(classes: int = 10, weights: str | None = None) -> Sequential:
    """61,706 parameters; a 32x32 picture becomes 28, 14, 10, 5 wide, then 120, 84 and 10 numbers.

    Parameters
    ----------
    classes : how many numbers it gives
    weights : None, or "digits": trained on scikit-learn's digits as `cnnfast.datasets.digits.as_pictures` gives them,
        by `python examples/train_lenet5.py --save FILE`, rounded to float16: 356 of the 360 held out are right

    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998. The paper's own
    third layer reads a table of maps and its pools have weights, 60,000 parameters in all.

    >>> from cnnfast.models import LeNet5
    >>> LeNet5().count_params()
    61706
    """
    model = Sequential(
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
    if weights is not None:
        name = TRAINED[checks.choice("weights", weights, TRAINED)]
        if classes != 10:
            raise ValueError(f'classes must be 10 with weights="digits", got {classes}')
        with as_file(files(__package__) / name) as path:
            model.load_weights(path)
    return model
