"""Any PyTorch module, trained again and again in one process; every module here but `recipe` and `data` needs torch."""
