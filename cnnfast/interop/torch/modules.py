"""torch's modules, computed by cnnfast: subclasses, so that names, weights and isinstance are theirs; and `convert`."""

import copy
from typing import Any

from torch import Tensor, nn

from cnnfast.interop.torch import functional as F


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d`."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.padding_mode == "zeros":
            return F.conv2d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)
        padded = nn.functional.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
        return F.conv2d(padded, weight, bias, self.stride, 0, self.dilation, self.groups)


class ConvTranspose2d(nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d`."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """The layer of input; see torch's."""
        extra = self._output_padding(
            input, output_size, self.stride, self.padding, self.kernel_size, 2, self.dilation
        )  # fmt: skip
        return F.conv_transpose2d(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )


class MaxPool2d(nn.MaxPool2d):
    """`torch.nn.MaxPool2d`."""

    def forward(self, input: Tensor) -> Any:
        """The layer of input."""
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class AvgPool2d(nn.AvgPool2d):
    """`torch.nn.AvgPool2d`, without divisor_override."""

    def forward(self, input: Tensor) -> Tensor:
        """The layer of input."""
        return F.avg_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip


class AdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """`torch.nn.AdaptiveAvgPool2d`."""

    def forward(self, input: Tensor) -> Tensor:
        """The layer of input."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class Linear(nn.Linear):
    """`torch.nn.Linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """The layer of input."""
        return F.linear(input, self.weight, self.bias)


class BatchNorm2d(nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d`."""

    def forward(self, input: Tensor) -> Tensor:
        """The layer of input; in training its statistics change."""
        self._check_input_dim(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1.0 / float(self.num_batches_tracked)
        own = self.training or (self.running_mean is None and self.running_var is None)
        kept = not self.training or self.track_running_stats
        return F.batch_norm(
            input, self.running_mean if kept else None, self.running_var if kept else None, self.weight, self.bias, own,
            momentum, self.eps,
        )  # fmt: skip


TWINS: dict[type[nn.Module], type[nn.Module]] = {
    twin.__bases__[0]: twin
    for twin in (Conv2d, ConvTranspose2d, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, Linear, BatchNorm2d)
}
"""torch's class -> ours. Subclasses of anybody else's are not touched: they may compute something else."""


def convert(module: nn.Module, inplace: bool = False) -> nn.Module:
    """A network whose layers cnnfast computes: each module of exactly a class in `TWINS` becomes its twin.

    Parameters
    ----------
    module : any module; its parameters, buffers, hooks and the keys of its state_dict stay. AvgPool2d with a
        divisor_override stays torch's.
    inplace : change this module, rather than a deep copy of it

    Returns
    -------
    the converted module: `module` itself where inplace

    Raises
    ------
    TypeError : module is no torch.nn.Module

    Examples
    --------
    >>> import torch, cnnfast.interop.torch as ct
    >>> net = ct.convert(torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU()))
    >>> type(net[0]).__module__, isinstance(net[0], torch.nn.Conv2d), list(net.state_dict())
    ('cnnfast.interop.torch.modules', True, ['0.weight', '0.bias'])
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    converted = module if inplace else copy.deepcopy(module)
    for each in converted.modules():
        twin = TWINS.get(type(each))
        if twin is not None and getattr(each, "divisor_override", None) is None:
            each.__class__ = twin  # it adds no state: parameters, hooks and whoever holds the module stay as they are
    return converted
