"""Improve: whether an edit helped, judged on data that it was not chosen on."""

from .evaluate import evaluate

__all__ = ["evaluate"]
