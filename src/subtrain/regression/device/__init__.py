"""Counts and LASSO paths on a CUDA device, through PyTorch; with "cpu" the same code runs on CPU tensors."""

from subtrain.regression.device.counts import device_counts
from subtrain.regression.device.path import Device, device_path, lasso_on_device

__all__ = ["Device", "device_counts", "device_path", "lasso_on_device"]
