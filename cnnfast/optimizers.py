"""Optimizers, where Keras has them; `cnnfast.optimizers.schedules` are learning rates that change."""

from cnnfast.training import schedules
from cnnfast.training.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop, get

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "get", "schedules"]
