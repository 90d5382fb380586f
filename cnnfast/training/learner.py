"""What a model has to be trained: compile, fit, evaluate, and their single steps, in Keras' words."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from cnnfast.layers.base import Backprop, Layer
from cnnfast.ops import arrays, checks
from cnnfast.ops.arrays import Array
from cnnfast.training import loop
from cnnfast.training.batches import OfArrays, as_inputs
from cnnfast.training.callbacks import Callback, CallbackList, History
from cnnfast.training.network import Course, Run
from cnnfast.training.optimizers import Optimizer
from cnnfast.training.step import Aim, take_step

if TYPE_CHECKING:
    from cnnfast.model import Model


class Learner(Layer):
    """The part of a model that trains it."""

    stop_training = False
    """Callbacks set it to end the training after the epoch."""
    _aim: Aim | None = None
    _course: Course | None = None
    _pool: arrays.Pool | None = None
    _fits: Sequence[Any] = ()
    unfolds: ClassVar[bool] = True
    """Within another model its layers are that one's: False for a class with a `forward` of its own."""

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Sequence[Any] | None = None,
    ) -> None:  # fmt: skip
        """Say how the model is to be trained.

        Parameters
        ----------
        optimizer : "sgd", "rmsprop", "adam", "adamw", or one of `cnnfast.optimizers`
        loss : a name such as "sparse_categorical_crossentropy", or one of `cnnfast.losses`
        metrics : names such as "accuracy", functions (y_true, y_pred), or of `cnnfast.metrics`

        Raises
        ------
        ValueError, TypeError : an argument is none of these
        """
        self._aim = Aim.of(optimizer, loss, metrics)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer, whose learning_rate may be set."""
        return self._aimed("optimizer").optimizer

    @property
    def loss(self) -> Any:
        """The loss."""
        return self._aimed("loss").loss

    @property
    def metrics_names(self) -> list[str]:
        """What `evaluate` gives, in its order."""
        return list(self._aimed("metrics_names").names)

    def fit(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, epochs: int = 1, verbose: Any = "auto",
        callbacks: Sequence[Callback] | Callback | None = None, validation_split: float = 0.0,
        validation_data: Any = None, shuffle: bool = True, class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None, initial_epoch: int = 0, steps_per_epoch: int | None = None,
        validation_steps: int | None = None, validation_batch_size: int | None = None, validation_freq: int = 1,
    ) -> History:  # fmt: skip
        """Train the model.

        The same `set_random_seed` before the model is built gives the same weights, to the bit, for any number of
        threads. Ctrl-C leaves what is trained as the last whole step made it; moving means and variances may have seen
        the batch after it.

        Parameters
        ----------
        x : (N, ...) of numbers, a list of such where the model has several inputs, or an iterable of batches (x, y) or
            (x, y, sample_weight)
        y : (N, ...) targets
        batch_size : by default 32
        epochs : the last epoch's number; the first is initial_epoch, so by default how many there are
        verbose : 0 for nothing, 1 for a live line, 2 for a line an epoch; "auto" is 1
        callbacks : of `cnnfast.callbacks`
        validation_split : the last so much of x and y is not trained on but evaluated after each epoch
        validation_data : (x, y), (x, y, sample_weight) or an iterable of batches, evaluated after each epoch
        shuffle : whether arrays are taken in another order in each epoch
        class_weight : class -> weight in the loss
        sample_weight : (N,) weights in the loss
        initial_epoch : where to go on
        steps_per_epoch : batches in an epoch; by default all there are
        validation_steps, validation_batch_size, validation_freq : of the evaluation after (every so many) epochs

        Returns
        -------
        A History: its `history` holds the loss and the metrics after each epoch, "val_..." those of the validation

        Raises
        ------
        ValueError : compile was not called, or an argument or shape does not fit
        TypeError : an argument has the wrong type

        Examples
        --------
        >>> import numpy as np, cnnfast
        >>> model = cnnfast.Sequential([cnnfast.layers.Dense(1, input_shape=(2,))])
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).random((64, 2))
        >>> history = model.fit(x, x.sum(1), epochs=20, verbose=0).history
        >>> history["loss"][-1] < history["loss"][0]
        True
        """
        aim, model = self._aimed("fit"), self._model()
        verbosity = _verbosity(verbose)
        first = checks.integer("initial_epoch", initial_epoch, minimum=0)
        last = checks.integer("epochs", epochs, minimum=0)
        frequency = checks.integer("validation_freq", validation_freq, minimum=1)
        steps = None if steps_per_epoch is None else checks.integer("steps_per_epoch", steps_per_epoch, minimum=1)
        validation = None
        share = checks.number("validation_split", validation_split)
        held: Any = None
        if share and validation_data is None:
            data = loop.batches_of(model, x, y, sample_weight, batch_size)
            if not isinstance(data, OfArrays):
                raise ValueError("validation_split must be 0 where x is an iterable of batches")
            kept, held = data.split(share)
            x = kept.inputs if model.input_count > 1 else kept.inputs[0]
            y, sample_weight, validation = kept.targets, kept.weights, held
            if validation_batch_size is not None:
                held.size = checks.integer("validation_batch_size", validation_batch_size, minimum=1)
        elif validation_data is not None:
            size = batch_size if validation_batch_size is None else validation_batch_size
            validation = loop.validation_of(model, validation_data, size, validation_steps)
        data = loop.batches_of(
            model, x, y, sample_weight, batch_size, steps=steps, class_weight=class_weight,
            shuffle=checks.boolean("shuffle", shuffle),
        )  # fmt: skip
        return loop.fit(
            model, aim, data, validation, _listed(callbacks), epochs=last, first=first, verbose=verbosity,
            validation_freq=frequency,
        )  # fmt: skip

    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, verbose: Any = "auto",
        sample_weight: Any = None, steps: int | None = None, callbacks: Sequence[Callback] | Callback | None = None,
        return_dict: bool = False,
    ) -> Any:  # fmt: skip
        """The loss and the metrics, as in inference.

        Parameters
        ----------
        x, y, batch_size, verbose, sample_weight, callbacks : see `fit`
        steps : batches to take; by default all there are
        return_dict : whether the result has names

        Returns
        -------
        The loss; with metrics a list [loss, metric, ...]; with return_dict a dict of them

        Raises
        ------
        As `fit`.
        """
        aim, model = self._aimed("evaluate"), self._model()
        verbosity = _verbosity(verbose)
        data = loop.batches_of(model, x, y, sample_weight, batch_size, steps=steps)
        watch = CallbackList(_listed(callbacks), model, steps=data.steps, verbose=verbosity)
        return self._told(loop.evaluate(model, aim, data, watch, verbose=verbosity), return_dict)

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:  # fmt: skip
        """One step on one batch; the loss and metrics before it, as `evaluate` gives them.

        Raises
        ------
        As `fit`.
        """
        aim, model = self._aimed("train_on_batch"), self._model()
        inputs = as_inputs(x, model.input_count)
        (batch,) = loop.batches_of(
            model, x, y, sample_weight, max(1, len(inputs[0])), class_weight=class_weight
        )  # fmt: skip
        self.prepare_for(batch.inputs)
        if self._pool is None:
            self._pool = arrays.Pool()
        aim.reset()
        with arrays.recycling(self._pool):
            value, y_pred = take_step(
                aim, self.course, self.trainable_weights, batch.inputs, batch.targets, batch.weights
            )
        aim.take(value, batch.targets, y_pred)
        return self._told(aim.logs(), return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss and metrics of one batch, as `evaluate` gives them.

        Raises
        ------
        As `fit`.
        """
        inputs = as_inputs(x, self._model().input_count)
        size = max(1, len(inputs[0]))
        return self.evaluate(x, y, size, verbose=0, sample_weight=sample_weight, return_dict=return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """y of one batch: `predict` of it at once."""
        model = self._model()
        return model.predict(x, batch_size=max(1, len(as_inputs(x, model.input_count)[0])))

    def forward(self, *inputs: Array, training: bool = False) -> tuple[Any, Backprop]:
        """See `Layer.forward`: the layers in turn, and their ways back in reverse.

        Examples
        --------
        >>> import numpy as np, cnnfast
        >>> model = cnnfast.models.LeNet5()
        >>> y, backprop = model.forward(np.zeros((2, 32, 32, 1), np.float32), training=True)
        >>> backprop(np.ones((2, 10), np.float32)).shape
        (2, 32, 32, 1)
        """
        self.prepare_for(inputs)
        run = Run(self.course, inputs, training)
        shapes = [y.shape for y in run.results]

        def backprop(grad_output: Any, inputs: bool = True) -> Any:
            given = grad_output if isinstance(grad_output, list | tuple) else [grad_output]
            if [np.shape(each) for each in given] != shapes:
                raise ValueError(f"grad_output must have the output's shape {_one(shapes)}, got {_shapes(given)}")
            found = run.back(given, inputs)
            return _one(tuple(found)) if inputs else None

        return _one(run.results), backprop

    @property
    def course(self) -> Course:
        """The steps of a run, those of models within it among them."""
        if self._course is None or not self._course.holds:
            self._course = Course(self._model())
            self._fits = ()
        return self._course

    @property
    def input_count(self) -> int:
        """How many inputs the model has; one, as long as it is not built."""
        return len(self._model().inputs) if self.built else 1

    def prepare_for(self, inputs: Sequence[Array]) -> None:
        """Build for such inputs if that is still to be done; they must fit."""
        shapes = [each.shape for each in inputs]
        if self._fits != shapes or self._course is None or not self._course.holds:
            self.ready(*shapes)
            if self.course is not None:  # which forgets what fitted before
                self._fits = shapes

    def _model(self) -> "Model":
        return cast("Model", self)

    def _aimed(self, what: str) -> Aim:
        if self._aim is None:
            raise ValueError(f"{self.label} must be compiled before {what}: model.compile(optimizer, loss, metrics)")
        return self._aim

    def _told(self, logs: dict[str, float], named: bool) -> Any:
        if named:
            return logs
        values = [logs[name] for name in self.metrics_names]
        return values[0] if len(values) == 1 else values


def _verbosity(value: Any) -> int:
    if value == "auto":
        return 1
    return checks.integer("verbose", int(value) if isinstance(value, bool) else value, minimum=0)


def _listed(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]


def _one(items: Any) -> Any:
    return items[0] if len(items) == 1 else items


def _shapes(given: Sequence[Any]) -> Any:
    return _one([np.shape(each) for each in given])
