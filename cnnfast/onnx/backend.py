"""The backend for `onnx.backend.test.BackendTest`: `BackendTest(cnnfast.onnx.backend)` runs the official cases."""

from collections.abc import Sequence
from typing import Any

from cnnfast.onnx.load import Model, load
from cnnfast.ops.arrays import Array

try:
    import onnx
    from onnx.backend.base import Backend, BackendRep
except ImportError:
    raise ImportError("cnnfast.onnx.backend needs the extra onnx: pip install 'cnnfast[onnx]'") from None


class Prepared(BackendRep):
    """A model that is ready to run."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def run(self, inputs: Sequence[Any], **kwargs: Any) -> tuple[Array, ...]:
        """The outputs, of an array for each input."""
        return tuple(self._model(*inputs))


class CnnfastBackend(Backend):
    """ONNX's backend surface over `cnnfast.onnx.load`."""

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **kwargs: Any) -> Prepared:
        """Make a ModelProto ready to run.

        Raises
        ------
        ValueError : the device is not the CPU, or the model holds something not supported
        """
        if not cls.supports_device(device):
            raise ValueError(f"device must be CPU, got {device!r}")
        return Prepared(load(model.SerializeToString()))

    @classmethod
    def run_model(cls, model: Any, inputs: Sequence[Any], device: str = "CPU", **kwargs: Any) -> tuple[Array, ...]:
        """The outputs of a ModelProto."""
        return cls.prepare(model, device).run(inputs)

    @classmethod
    def run_node(
        cls, node: Any, inputs: Sequence[Any], device: str = "CPU", outputs_info: Any = None, **kwargs: Any
    ) -> tuple[Array, ...]:
        """The outputs of one NodeProto, read by the latest opset."""
        names = [name for name in node.input if name]
        kind = onnx.helper.np_dtype_to_tensor_dtype
        given = [
            onnx.helper.make_tensor_value_info(name, kind(array.dtype), array.shape)
            for name, array in zip(names, inputs, strict=True)
        ]
        made = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name]
        graph = onnx.helper.make_graph([node], "node", given, made)
        return cls.run_model(onnx.helper.make_model(graph), inputs, device)

    @classmethod
    def is_compatible(cls, model: Any, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether the model can be loaded."""
        try:
            cls.prepare(model, device)
        except ValueError:
            return False
        return True

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether it runs there: on the CPU alone."""
        return device.split(":")[0].upper() == "CPU"


is_compatible = CnnfastBackend.is_compatible
prepare = CnnfastBackend.prepare
run_model = CnnfastBackend.run_model
run_node = CnnfastBackend.run_node
supports_device = CnnfastBackend.supports_device
