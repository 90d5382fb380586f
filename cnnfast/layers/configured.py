"""What can be told as its constructor's arguments, and made again of them."""

from collections.abc import Mapping
from typing import Any, Self


class Configured:
    """Keeps what it was made with, so that no class has to say it a second time."""

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *arguments: Any, **keywords: Any) -> Self:
        made = super().__new__(cls)
        made._arguments = arguments, keywords
        return made

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments, under Keras' keys: `from_config` makes such a layer of them, with weights of its own.

        >>> from cnnfast.layers import MaxPooling2D
        >>> MaxPooling2D(2, name="pool").get_config()["pool_size"]
        (2, 2)
        """
        from cnnfast.layers import config  # which knows the layers' parts, so it comes after them

        return config.of(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A layer of what `get_config` gave, here or in Keras 3.

        Raises
        ------
        ValueError, TypeError : an argument is none that the layer takes, or a setting of Keras' is not offered
        """
        from cnnfast.layers import config as configs

        return cls(**configs.arguments(cls, config))
