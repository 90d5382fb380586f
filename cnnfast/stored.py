"""What a model has to be kept: its weights in files, and itself."""

from collections.abc import Mapping
from typing import Any, Self, cast

from cnnfast.training.learner import Learner
from cnnfast.weights import FilePath, load, save


class Stored(Learner):
    """The part of a model that writes and reads it."""

    def load_weights(self, filepath: FilePath) -> None:
        """Replace all weights by those of a file: of `save_weights` or `save`, or Keras' .h5 and .keras.

        An .h5 file is one of Keras Applications, of Keras' `save_weights` or of a whole saved model; its layers are
        found by their names, or by their order where Keras counted names (conv2d_7). `cnnfast.models.load_torch` reads
        torch's state dicts.

        No file makes code run. HDF5's own library has been seen to hang on a damaged .h5 file: take those from people
        you trust, and safetensors from others.

        Raises
        ------
        OSError : the file cannot be read
        ValueError : a name is missing or unexpected, a shape is another, or the file is damaged; no weight was changed
        ImportError : safetensors or h5py is not installed
        """
        load(self._model()._known(), filepath)

    def save_weights(self, filepath: FilePath) -> None:
        """Write all weights, as float32, to a .npz or .safetensors file, under names such as "conv2d/kernel", or to a
        .weights.h5 as Keras 3 writes it.

        The file takes the name when it is whole and on the disk: one that was there before is there until then.

        Raises
        ------
        OSError : the file cannot be written
        ValueError : the name ends in none of them, or the model does not know its input's shape
        ImportError : safetensors or h5py is not installed

        Examples
        --------
        >>> import cnnfast, tempfile
        >>> model, copy = cnnfast.models.LeNet5(), cnnfast.models.LeNet5()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save_weights(f"{folder}/lenet.npz")
        ...     copy.load_weights(f"{folder}/lenet.npz")
        >>> all((a == b).all() for a, b in zip(model.get_weights(), copy.get_weights()))
        True
        """
        save(self._model()._known(), filepath)

    def save(self, filepath: FilePath) -> None:
        """Write the whole network, layers and weights: `cnnfast.load_model` makes it again.

        A .keras file is Keras 3's, and needs h5py; a .npz or .safetensors file holds the same configuration in JSON
        beside the arrays of `save_weights`. What training keeps (optimizer, loss) is not written. The file takes the
        name when it is whole and on the disk.

        Raises
        ------
        OSError : the file cannot be written
        ValueError : the name ends in none of them, the model does not know its input's shape, or a layer cannot be
            told in a file: one of a class of your own, or with a function of your own; the message names it
        ImportError : safetensors or h5py is not installed

        Examples
        --------
        >>> import cnnfast, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     cnnfast.models.LeNet5().save(f"{folder}/lenet.npz")
        ...     model = cnnfast.load_model(f"{folder}/lenet.npz")
        >>> model.name, model.count_params()
        ('lenet5', 61706)
        """
        from cnnfast.saving import save_model  # knows Sequential, so it comes after this module

        save_model(self._model()._known(), filepath)

    def get_config(self) -> dict[str, Any]:
        """The network without its weights as plain data, in the form of Keras 3: `from_config` makes it again.

        Raises
        ------
        ValueError : a layer cannot be told so; see `save`
        """
        from cnnfast.saving.config import config_of

        return config_of(self._model())

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A network of what `get_config` gave, here or in Keras 3, with weights of its own.

        Raises
        ------
        ValueError : a layer is none of ours, or the configuration makes no network; the message names the layer

        Examples
        --------
        >>> import cnnfast
        >>> model = cnnfast.models.ResNet18()
        >>> cnnfast.Model.from_config(model.get_config()).count_params() == model.count_params()
        True
        """
        from cnnfast.saving.config import model_of

        made: Any = model_of(config, cast(Any, cls))
        return made  # type: ignore[no-any-return]
