"""Fingerprint: what must be the same before and after everything this package does to a user's model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Fingerprint:
    """Hooks, weights, mode and random state of a model, as one comparable value."""

    hooks: int
    weights: str
    dtype: str
    device: str
    training: bool
    trainable: int
    gradients: int
    grad_mode: bool
    random_state: str

    @classmethod
    def of(cls, module: nn.Module, hook_points: Mapping[str, Any]) -> Fingerprint:
        """Take the fingerprint of a module and of its bridge's hook points (none for a plain module)."""
        parameters = list(module.parameters())
        points = {id(point): point for point in hook_points.values()}.values()
        return cls(
            hooks=sum(len(point.fwd_hooks) + len(point.bwd_hooks) for point in points),
            weights=checksum(parameters),
            dtype=str(parameters[0].dtype),
            device=str(parameters[0].device),
            training=module.training,
            trainable=sum(p.requires_grad for p in parameters),
            gradients=sum(p.grad is not None for p in parameters),
            grad_mode=torch.is_grad_enabled(),
            random_state=hashlib.sha256(torch.get_rng_state().numpy().tobytes()).hexdigest()[:16],
        )


def checksum(tensors: list[Any]) -> str:
    """16 hex digits that change when any element of any tensor changes.

    Each tensor is reduced on its own device (`torch.hash_tensor`), and its shape, dtype and an even sample of its
    elements are added, since the reduction does not see their order.
    """
    digest = hashlib.sha256()
    for tensor in tensors:
        flat = tensor.detach().reshape(-1)
        sample = flat[:: max(1, flat.numel() // 256)].float().cpu()
        reduced = torch.hash_tensor(flat).view(torch.int64).item()
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype} {reduced}".encode())
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()[:16]
