"""Descent: gradient steps on a few tensors of one's own, through the twin, whose parameters stay as they are.

The tensors enter the pass by functional edits (`hooks.addition`, `hooks.shift`). Gradients are taken with respect to
them alone: no `.grad` of the model is written, and its blocks below the first edit keep no graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import torch

from .backward import freeze

if TYPE_CHECKING:
    from .gate import Model

Loss = Callable[[int], Iterable[torch.Tensor]]


def descend(
    model: Model, leaves: Sequence[torch.Tensor], loss: Loss, steps: int, lr: float, tick: Callable[[int, int], None]
) -> list[float]:
    """Adam on the leaves, in place; the loss before each step. Only from inside `Model.do`.

    loss: for a step's number, the parts that sum to the loss; each part's graph is freed before the next is made.
    Raises ValueError where the loss is not a number.
    """
    freeze(model)
    optimizer = torch.optim.Adam([leaf.requires_grad_() for leaf in leaves], lr=lr)
    curve = []
    for step in range(steps):
        optimizer.zero_grad()
        with torch.enable_grad():
            curve.append(sum(_backward(part, leaves) for part in loss(step)))
        if not torch.isfinite(torch.tensor(curve[-1])):
            raise ValueError(f"the loss is not a number at step {step}: the steps are too large, try lr={lr / 10:g}")
        optimizer.step()
        tick(step + 1, steps)
    for leaf in leaves:
        leaf.requires_grad_(False)
    return curve


def _backward(part: torch.Tensor, leaves: Sequence[torch.Tensor]) -> float:
    """Add a part's gradient to that of the leaves; its value."""
    for leaf, gradient in zip(leaves, torch.autograd.grad(part, leaves), strict=True):
        leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient
    return float(part.detach())
