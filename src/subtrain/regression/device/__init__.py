"""Counts and LASSO paths on a CUDA device, through PyTorch; with "cpu" the same code runs on CPU tensors.

Experimental: every answer is certified in float64 from exact counts, and the tests hold the code to the CPU solver's
answers on CPU tensors, but it has never run on a GPU. So neither its speed nor its use of a GPU's memory is known.
"""

from subtrain.regression.device.counts import device_counts
from subtrain.regression.device.path import Device, device_path, lasso_on_device

__all__ = ["Device", "device_counts", "device_path", "lasso_on_device"]
