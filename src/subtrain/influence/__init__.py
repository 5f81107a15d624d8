"""Influence tables: how far training on each example moves each target of one trained model, to first order."""
