"""The kernels: a file each, ending in the row that its op's table lists."""
