"""Gradients on a device, under the names and with the normalised arguments of the oracle's,
`backends.reference.grad`."""
