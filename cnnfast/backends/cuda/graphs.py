"""CUDA graphs: launches written down by the driver, and started again by one call."""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from . import driver


class Graph:
    """An instantiated graph; it goes with this object."""

    def __init__(self, handle: Any, number: int) -> None:
        self.handle, self.number = handle, number

    def replay(self, stream: int) -> None:
        """All of it, on a stream."""
        with driver.current(driver.device(self.number)):
            driver.call("starting a graph", "cuGraphLaunch", self.handle, stream)

    def __del__(self) -> None:
        if sys.is_finalizing():
            return  # the driver goes, and its graphs with it
        with suppress(Exception), driver.current(driver.device(self.number)):
            driver.call("letting a graph go", "cuGraphExecDestroy", self.handle)


def capture(launch: Callable[[int], None], number: int) -> Graph:
    """What launch(stream) launches. Nothing runs; whatever it launches must have been loaded before."""
    flags, modes = driver.api().CUstream_flags, driver.api().CUstreamCaptureMode
    with driver.current(driver.device(number)):
        stream = driver.call("making a stream", "cuStreamCreate", flags.CU_STREAM_NON_BLOCKING.value)
        try:
            # relaxed: what other code of this thread frees meanwhile has nothing to do with it
            mode = modes.CU_STREAM_CAPTURE_MODE_RELAXED
            driver.call("beginning a capture", "cuStreamBeginCapture", stream, mode)
            try:
                launch(int(stream))
            except BaseException:
                with suppress(Exception):  # the graph of half the launches goes; what failed is told
                    driver.call(
                        "letting a graph go", "cuGraphDestroy",
                        driver.call("ending a capture", "cuStreamEndCapture", stream),
                    )  # fmt: skip
                raise
            graph = driver.call("ending a capture", "cuStreamEndCapture", stream)
            try:
                return Graph(driver.call("making a graph", "cuGraphInstantiate", graph, 0), number)
            finally:
                driver.call("letting a graph go", "cuGraphDestroy", graph)
        finally:
            driver.call("letting a stream go", "cuStreamDestroy", stream)
