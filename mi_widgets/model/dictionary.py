"""Dictionary: a sparse autoencoder (SAE), which writes an activation as a sum of few of many learned directions.

    x ≈ Σ_j a_j d_j + b        a = encode(x), at most a few of them above 0

a_j is how active feature j is, d_j its row of the decoder. What the sum lacks, the error x − (Σ a_j d_j + b), is kept:
an edit of feature j changes x by (a_j' − a_j) d_j and by nothing else, so the model runs as it was where nothing is
edited, however poor the dictionary is (Marks et al. 2024, "Sparse Feature Circuits", arXiv 2403.19647).

A feature is a direction that a dictionary was trained to use, and no more than that: another dictionary of the same
layer has others, and what a feature is called comes from texts that a person has looked at.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..site import PARTS as SITE_PARTS
from ..site import Site
from .places import carrying, hook_name

PARTS = SITE_PARTS["feature"]
KINDS = ("standard", "gated", "topk", "jumprelu")
NORMS = ("none", "constant_norm", "layer_norm")
_EPSILON = 1e-5

Activations = Float[Tensor, "*batch d_sae"]


@dataclass(frozen=True, eq=False)
class Dictionary:
    """A sparse autoencoder of one place in a model.

    encoder: [d_model, d_sae], with encoder_bias [d_sae]. decoder: [d_sae, d_model], with decoder_bias [d_model].
    layer, part: what it reads: the residual stream after ("post") or before ("pre") a block, or an FFN's output
        ("ffn").
    kind: what makes activations sparse. standard: ReLU. topk: the k largest, and ReLU. jumprelu: what is above
        `threshold` [d_sae] (Rajamanoharan et al. 2024). gated: ReLU of a second reading, of gain `gate_gain` and bias
        `gate_bias` [d_sae], where the first is above 0 (Rajamanoharan et al. 2024).
    centred: whether decoder_bias is taken off before the encoder.
    norm: what is done to x before: constant_norm (scaled to the length √d_model) or layer_norm; undone after.
    card: what is known of it, as plain data.
    """

    encoder: Float[Tensor, "d_model d_sae"]
    encoder_bias: Float[Tensor, " d_sae"]
    decoder: Float[Tensor, "d_sae d_model"]
    decoder_bias: Float[Tensor, " d_model"]
    layer: int
    part: str = "post"
    kind: str = "standard"
    k: int = 0
    threshold: Float[Tensor, " d_sae"] | None = None
    gate_gain: Float[Tensor, " d_sae"] | None = None
    gate_bias: Float[Tensor, " d_sae"] | None = None
    centred: bool = True
    norm: str = "none"
    name: str = "dictionary"
    card: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, known in (("part", PARTS), ("kind", KINDS), ("norm", NORMS)):
            if getattr(self, name) not in known:
                raise ValueError(f"a dictionary's {name} is one of {', '.join(known)}, not {getattr(self, name)!r:.60}")
        if isinstance(self.layer, bool) or not isinstance(self.layer, int) or self.layer < 0:
            raise ValueError(f"a dictionary's layer is a whole number from 0, not {self.layer!r:.60}")
        self._check_shapes()
        if self.kind == "topk" and not 0 < self.k <= self.size:
            raise ValueError(f"k is how many of {self.size} features may be active, not {self.k!r:.60}")
        needed = {"jumprelu": ("threshold",), "gated": ("gate_gain", "gate_bias")}.get(self.kind, ())
        for name in needed:
            if getattr(self, name) is None:
                raise ValueError(f"a {self.kind} dictionary needs its {name}")

    def _check_shapes(self) -> None:
        if self.encoder.ndim != 2:
            raise ValueError(f"encoder is [d_model, d_sae], not {tuple(self.encoder.shape)}")
        width, size = self.encoder.shape
        wanted = {"encoder_bias": (size,), "decoder": (size, width), "decoder_bias": (width,), "threshold": (size,),
                  "gate_gain": (size,), "gate_bias": (size,)}  # fmt: skip
        for name, tensor in self.tensors.items():
            if name in wanted and tuple(tensor.shape) != wanted[name]:
                raise ValueError(f"{name} is {tuple(tensor.shape)}; the encoder {width} × {size} wants {wanted[name]}")
            if not bool(torch.isfinite(tensor).all()):
                raise ValueError(f"{name} holds a number that is not finite")

    @classmethod
    def load(cls, folder: str | Path | None = None, layer: int | None = None, part: str | None = None) -> Dictionary:
        """A dictionary from a folder of SAELens, Gemma Scope or sparsify; without one, the default model's own.

        layer, part: what it reads, where neither its configuration nor its folder's name says so. Raises ValueError
        for what would read other numbers than it was trained on (a normalisation whose factor the folder lacks, a
        transcoder, an unknown activation function), with the reason.
        """
        from .dictionaryfile import read

        return read(folder, layer, part)

    def save(self, path: str | Path) -> Path:
        """Write its tensors under their names here to a safetensors file, for programs that `Recipe.code` writes."""
        from safetensors.torch import save_file

        plain = {name: tensor.detach().cpu().float().contiguous() for name, tensor in self.tensors.items()}
        save_file(plain, str(path), metadata={"dictionary": self.hash})
        return Path(path)

    @property
    def width(self) -> int:
        """d_model: how many numbers it reads."""
        return self.encoder.shape[0]

    @property
    def size(self) -> int:
        """d_sae: how many features it has."""
        return self.encoder.shape[1]

    @property
    def carrier(self) -> str:
        """The hook that it reads."""
        return hook_name(carrying(Site("feature", self.layer, 0, self.part)))

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in own.items() if isinstance(value, Tensor)}

    @cached_property
    def hash(self) -> str:
        """The first 16 hex digits of a SHA-256 of its tensors and of how they are used."""
        said = (self.layer, self.part, self.kind, self.k, self.centred, self.norm)
        digest = hashlib.sha256(repr(said).encode())
        for name, tensor in self.tensors.items():
            plain = tensor.detach().to("cpu", torch.float32).contiguous().numpy()
            digest.update(name.encode() + np.ascontiguousarray(plain).tobytes())
        return digest.hexdigest()[:16]

    def __repr__(self) -> str:
        return f"Dictionary({self.name!r}: {self.size} features ({self.kind}) of {self.carrier}, {self.hash})"

    def to(self, like: Tensor) -> Dictionary:
        """The same on a tensor's device, in float32: activations in half precision would choose other features."""
        moved: dict[str, Any] = {name: tensor.to(like.device, torch.float32) for name, tensor in self.tensors.items()}
        return replace(self, **moved)

    def encode(self, x: Float[Tensor, "*batch d_model"]) -> Activations:
        """How active each feature is; 0 for most."""
        x = self._normed(x.float())[0]
        x = x - self.decoder_bias if self.centred else x
        read = x @ self.encoder
        before = read + self.encoder_bias
        if self.kind == "gated":
            assert self.gate_gain is not None and self.gate_bias is not None
            return torch.where(before > 0, (read * self.gate_gain.exp() + self.gate_bias).relu(), 0.0)
        if self.kind == "jumprelu":
            assert self.threshold is not None
            return torch.where(before > self.threshold, before.relu(), 0.0)
        active = before.relu()
        if self.kind == "standard":
            return active
        values, where = active.topk(self.k, dim=-1)
        return torch.zeros_like(active).scatter(-1, where, values)

    def decode(self, a: Activations, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """What the activations stand for: Σ a_j d_j + b, in the units of the x that they were read from."""
        _, scale, shift = self._normed(x.float())
        return (a @ self.decoder + self.decoder_bias) * scale + shift

    def change(self, x: Tensor, by: Activations) -> Tensor:
        """What changing the activations of x by so much adds to it, [*batch, d_model]: the error stays."""
        return (by @ self.decoder) * self._normed(x.float())[1]

    def edited(self, x: Tensor, active: Activations, new: Tensor) -> Tensor:
        """x with `new` activations in the place of its own, `active`; bit for bit x where they are the same."""
        return x + self.change(x, new.float() - active).to(x)

    def _normed(self, x: Tensor) -> tuple[Tensor, Tensor | float, Tensor | float]:
        """x as the encoder takes it, and by what its output is multiplied and shifted afterwards."""
        if self.norm == "none":
            return x, 1.0, 0.0
        if self.norm == "constant_norm":
            scale = x.norm(dim=-1, keepdim=True) / self.width**0.5
            return x / scale, scale.detach(), 0.0
        mean = x.mean(-1, keepdim=True)
        scale = (x - mean).std(-1, keepdim=True)
        return (x - mean) / (scale + _EPSILON), scale.detach(), mean.detach()


__all__ = ["KINDS", "Dictionary"]
