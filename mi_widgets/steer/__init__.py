"""Steer: change what a model does. Every method returns a Recipe, or a Direction that makes one."""

from .amplitude import neutral, scale, switch_off
from .vector import contrast, sweep

__all__ = ["contrast", "neutral", "scale", "sweep", "switch_off"]
