"""Improve: whether an edit helped, judged on data that it was not chosen on."""

from .evaluate import evaluate
from .training import compare_training

__all__ = ["compare_training", "evaluate"]
