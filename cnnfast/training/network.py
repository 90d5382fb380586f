"""A network forwards, with the way back of every layer kept, and that way back: callbacks in reverse, no tape."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnfast.layers.activation import Activation, ReLU
from cnnfast.layers.base import Backprop, Layer
from cnnfast.layers.merge import Add
from cnnfast.layers.normalization import BatchNormalization
from cnnfast.ops.arrays import Array
from cnnfast.ops.elementwise import add

if TYPE_CHECKING:
    from cnnfast.model import Model


JOINS = (BatchNormalization.forward, Add.forward)
"""The ways forward that take a ReLU with them."""


class Step(NamedTuple):
    """A layer's turn. Values have places: numbers, the inputs' first.

    training : False where the layer keeps to inference
    settings : what its forward takes beside: an activation that is run with it
    over : the places nobody reads after it
    """

    layer: Layer
    inputs: tuple[int, ...]
    output: int
    training: bool
    settings: dict[str, Any]
    over: tuple[int, ...] = ()


class Course:
    """The steps of a model, those of models within it among them."""

    def __init__(self, model: "Model") -> None:
        self._made_of: list[tuple[Model, object]] = []
        self.inputs = list(range(len(model.inputs)))
        self.count = len(self.inputs)
        steps: list[Step] = []
        self.outputs = self._unfold(model, self.inputs, True, steps)
        self.steps = _with_ends(_with_activations(steps, self.outputs), self.outputs)

    def _unfold(self, model: "Model", inputs: Sequence[int], training: bool, steps: list[Step]) -> list[int]:
        self._made_of.append((model, model.outputs))
        places = {id(tensor): place for tensor, place in zip(model.inputs, inputs, strict=True)}
        for tensor in model.traced:
            if id(tensor) in places:
                continue
            given = tuple(places[id(each)] for each in tensor.inputs)
            learns = training and tensor.training is not False
            layer: Any = tensor.layer
            if getattr(type(layer), "unfolds", False):
                (places[id(tensor)],) = self._unfold(layer, given, learns, steps)
                continue
            places[id(tensor)] = self.count
            steps.append(Step(layer, given, self.count, learns, {}))
            self.count += 1
        return [places[id(tensor)] for tensor in model.outputs]

    @property
    def holds(self) -> bool:
        """Whether the models still are what they were."""
        return all(model.outputs is outputs for model, outputs in self._made_of)

    def wanted(self, inputs: bool) -> list[bool]:
        """For each place whether its gradient is of use: an input that is asked for, or a weight, lies behind it."""
        found = [inputs] * self.count
        for step in self.steps:
            found[step.output] = any(found[i] for i in step.inputs) or bool(step.layer.trainable_weights)
        return found

    @property
    def last(self) -> Step | None:
        """The step that gives the one output, where nobody else reads it."""
        if len(self.outputs) != 1 or any(self.outputs[0] in step.inputs for step in self.steps):
            return None
        return next((step for step in self.steps if step.output == self.outputs[0]), None)


class Run:
    """A network's run on some inputs.

    Attributes
    ----------
    results : the outputs
    """

    def __init__(self, course: Course, inputs: Sequence[Array], training: bool, wants_inputs: bool = True) -> None:
        self.course = course
        self._backs: list[Backprop | None] = []
        self._wants_inputs, self._wanted = wants_inputs, course.wanted(wants_inputs)
        wanted = self._wanted
        values: list[Any] = [*inputs, *[None] * (course.count - len(inputs))]
        for step in course.steps:
            learns = training and step.training
            y, back = self._forward(step, [values[i] for i in step.inputs], learns, wanted[step.output])
            values[step.output] = y
            self._backs.append(back)
            del y, back
            for i in step.over:
                values[i] = None
        self.results: list[Array] = [values[i] for i in course.outputs]

    @staticmethod
    def _forward(step: Step, inputs: list[Array], training: bool, wanted: bool) -> tuple[Array, Backprop | None]:
        layer = step.layer
        try:
            if wanted or step.settings or (training and type(layer).forward is not Layer.forward):
                y, back = layer.forward(*inputs, training=training, **step.settings)
                return y, back if wanted else None
            return layer.call(*inputs), None
        except (ValueError, TypeError):
            with layer.named():  # a context manager around every call would be felt in small networks
                raise

    def back(
        self, grad_outputs: Sequence[Array], inputs: bool = True, of_logits: bool = False, release: bool = False
    ) -> list[Array | None]:
        """Add to the weights' gradients; the inputs' gradients, where they are asked for.

        of_logits : the gradient is that of what goes into the last layer's activation
        release : give up what each layer keeps as soon as it is used: there is no second way back then
        """
        course = self.course
        wanted = self._wanted if inputs == self._wants_inputs else course.wanted(inputs)
        grads: list[Any] = [None] * course.count
        for place, grad in zip(course.outputs, grad_outputs, strict=True):
            grads[place] = grad if grads[place] is None else add(grads[place], grad)
        for k in range(len(course.steps) - 1, -1, -1):
            step, back = course.steps[k], self._backs[k]
            grad, grads[step.output] = grads[step.output], None
            if release:
                self._backs[k] = None
            if back is None or grad is None or not wanted[step.output]:
                continue
            special = {"of_logits": True} if of_logits and step.output == course.outputs[0] else {}
            try:
                found = back(grad, any(wanted[i] for i in step.inputs), **special)
            except (ValueError, TypeError):
                with step.layer.named():
                    raise
            del back, grad
            if found is None:
                continue
            for i, each in zip(step.inputs, found if len(step.inputs) > 1 else (found,), strict=True):
                if wanted[i]:
                    grads[i] = each if grads[i] is None else add(grads[i], each)
            del found, each
        return [grads[i] for i in course.inputs]


def _with_activations(steps: list[Step], outputs: Sequence[int]) -> list[Step]:
    """A ReLU that alone reads a batch normalisation or a sum runs with it: passes over memory fewer."""
    readers: dict[int, list[Step]] = {}
    for step in steps:
        for i in step.inputs:
            readers.setdefault(i, []).append(step)
    joined: list[Step] = []
    gone: set[int] = set()
    for step in steps:
        if step.output in gone:
            continue
        after = readers.get(step.output, [])
        if type(step.layer).forward in JOINS and len(after) == 1 and step.output not in outputs:
            name = _rectifier(after[0].layer)
            if name:
                gone.add(after[0].output)
                step = step._replace(output=after[0].output, settings={"activation": name})
        joined.append(step)
    return joined


def _rectifier(layer: Layer) -> str:
    if type(layer) is Activation or type(layer) is ReLU:
        fused = layer.function().fused
        if fused in ("relu", "relu6"):
            return str(fused)
    return ""


def _with_ends(steps: list[Step], outputs: Sequence[int]) -> list[Step]:
    """Say after which step each value is over."""
    seen = set(outputs)
    result = []
    for step in reversed(steps):
        over = tuple(dict.fromkeys(i for i in step.inputs if i not in seen))
        seen.update(over)
        if step.output not in seen:  # nobody reads it
            over = (*over, step.output)
        result.append(step._replace(over=over))
    return result[::-1]
