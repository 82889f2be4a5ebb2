"""Neurons trained by hand-derived gradients."""
