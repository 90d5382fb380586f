"""Whole networks on one picture: the prepared plan, and `predict`. See README.md here for how to run it."""

from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.models import MODELS

LEFT_OUT = ("alexnet-ungrouped", "vgg19", "resnet50-keras", "unet", "fcn8s", "fcn32s")
NETWORKS = [name for name in MODELS if name not in LEFT_OUT]


@pytest.mark.parametrize("way", ["plan", "predict"])
@pytest.mark.parametrize("name", NETWORKS)
def test_network(benchmark: Any, name: str, way: str) -> None:
    cnnfast.set_random_seed(0)
    model = MODELS[name]()
    x = np.random.default_rng(0).random((1, *model.input_shape[1:]), np.float32)
    plan = model.plan(x.shape)
    benchmark.group = name
    benchmark(plan if way == "plan" else model.predict, x)
