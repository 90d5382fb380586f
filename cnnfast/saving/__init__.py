"""Whole networks in files: layers, their settings and their weights, and nothing that would be run."""

from cnnfast.model import Model
from cnnfast.saving.config import entry, layer_of
from cnnfast.weights import FilePath, load, load_config, save_whole

__all__ = ["load_model", "save_model"]


def save_model(model: Model, filepath: FilePath) -> None:
    """See `Model.save`."""
    save_whole(model, filepath, entry(model))


def load_model(filepath: FilePath) -> Model:
    """The network that a file holds, as `model.save` or Keras 3 wrote it.

    Parameters
    ----------
    filepath : a .keras file, or a .npz or .safetensors file of `model.save`

    Returns
    -------
    A Sequential or a Model, with its weights; it is not compiled

    Raises
    ------
    OSError : the file cannot be read
    ValueError : the file is damaged, holds weights alone, or has a layer that cnnfast has not, or that holds code
        (Lambda, classes of somebody's own): the message names it. Nothing that a file says is imported or run.
    ImportError : h5py or safetensors is not installed

    Examples
    --------
    >>> import cnnfast, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cnnfast.models.LeNet5().save(f"{folder}/lenet.npz")
    ...     model = cnnfast.load_model(f"{folder}/lenet.npz")
    >>> model.output_shape
    (None, 10)
    """
    told = load_config(filepath)
    try:
        model = layer_of(told)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{filepath}: {error}") from error
    if not isinstance(model, Model):
        raise ValueError(f"{filepath} must hold a network, got the layer {model.label}")
    if model.built:
        load(model, filepath)
    return model
