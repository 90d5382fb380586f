"""Training: losses, metrics, optimizers, callbacks, and the loop of `Model.fit`."""
