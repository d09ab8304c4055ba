"""Tensors: an own copy of a model's weights, in which edits of activations are absorbed.

An edit that is affine and the same at every position, x → A x + b, is a change of the weights that write x, or of those
that read it. `Tensors` finds them by the names of TransformerLens, changes copies of them, and makes a plain Hugging
Face model of the result. What is not edited stays the number it was; the user's model is never touched.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from ..site import Site
from . import twin
from .places import hook_name, weight_shape
from .plain import joint, place

if TYPE_CHECKING:
    from .gate import Model

_HEADS = {"q": "W_Q", "k": "W_K", "v": "W_V"}
_PROBE = 4  # tokens
_BIAS_FLAGS = ("attention_bias", "mlp_bias", "use_bias")  # what a config calls biases that its class can have

Rows = slice | torch.Tensor
Bias = torch.Tensor | None


class NoPlace(ValueError):
    """The weights of this model have no place for an edit."""


@dataclass(frozen=True)
class Affine:
    """x → factor · x − share · (x · without) without + offset, the same at every position.

    without: a unit vector [width], or None. offset: [width], or None.
    """

    factor: float = 1.0
    without: torch.Tensor | None = None
    share: float = 1.0
    offset: torch.Tensor | None = None

    def linear(self, x: torch.Tensor) -> torch.Tensor:
        """A x for vectors [..., width]; A is symmetric."""
        out = self.factor * x
        if self.without is None:
            return out
        along = self.without.to(x)
        return out - self.share * (x @ along)[..., None] * along

    @property
    def only_adds(self) -> bool:
        """Whether A is the identity."""
        return self.factor == 1 and self.without is None


class Tensors:
    """The tensors of a model by their Hugging Face names; edits replace them one by one.

    Only from inside `model.do`.
    """

    def __init__(self, model: Model, source: nn.Module) -> None:
        self.model, self._type = model, type(source)
        self.config: Any = copy.deepcopy(source.config)
        self._plain: Any = twin.skeleton(source)
        self._generation = copy.deepcopy(getattr(source, "generation_config", None))
        wanted = twin.named_tensors(self._plain)
        shared: dict[Any, torch.Tensor] = {}  # tied tensors are one
        self._now: dict[str, torch.Tensor] = {
            name: shared.setdefault((tensor.data_ptr(), tensor.shape), tensor.detach())
            for name, tensor in twin.named_tensors(source).items()
            if name in wanted
        }
        self._columns: dict[tuple[int, str], torch.Tensor] = {}
        for layer in range(model.n_layers):
            self._take_apart(layer)

    def _take_apart(self, layer: int) -> None:
        """Find queries, keys and values in a joint matrix, and put in the numbers that the bridge runs on."""
        path, parts = f"blocks.{layer}.attn.qkv.hook_out", joint(self.model, layer, self._plain)
        for part, own in parts.items():
            self._columns[layer, _HEADS[part]] = own
            mine = getattr(self.model.twin.blocks[layer].attn, part).original_component

            def edit(w: torch.Tensor, b: Bias, own: Rows = own, mine: Any = mine) -> tuple[torch.Tensor, Bias]:
                return _with(w, own, mine.weight.T), None if b is None else _with(b, own, mine.bias)

            self._edit(self._path(path), edit)

    # -- edits ----------------------------------------------------------------------------------------------------

    def absorb(self, site: Site, change: Affine) -> None:
        """Make an edit of a site part of the weights; raises NoPlace where they have none for it."""
        kind, part, layer, index = site.kind, site.part, site.layer or 0, site.index or 0
        width = self.model.width(site)
        own = slice(index * width, (index + 1) * width)
        if kind == "embedding":
            self._embed(change, position=False)
        elif kind == "residual" and part == "pre" and layer == 0:
            self._embed(change, position=True)
        elif kind == "residual":
            self._stream(layer - (part == "pre"), "attn" if part == "mid" else "mlp", change)
        elif kind == "ffn":
            self._write(layer, "mlp", change)
        elif kind == "neuron":
            gated = f"blocks.{layer}.mlp.gate.hook_out" in self.model.points
            pre = "W_gate" if gated else "W_in"
            self._read(layer, "W_out", own, change) if part == "post" else self._make(layer, pre, own, change)
        elif kind == "feature":
            raise NoPlace("a feature's activation is not linear in what its dictionary reads: no weight holds it")
        elif part == "z":
            self._read(layer, "W_O", own, change)
        elif part in _HEADS:
            self._make(layer, _HEADS[part], own, change)
        else:
            raise NoPlace("attention patterns are made anew for every prompt: no weight holds them")

    def project_out(self, vector: torch.Tensor, strength: float) -> None:
        """W := (I − strength · r r^T) W for all that writes to the residual stream (Arditi et al. 2024)."""
        change = Affine(without=vector, share=strength)
        self._embed(change, position=True)
        for layer in range(self.model.n_layers):
            for branch in ("attn", "mlp"):
                self._write(layer, branch, change)

    def add(self, site: Site, matrix: torch.Tensor, rows: Rows, columns: Rows) -> None:
        """W[rows, columns] += matrix, of a block's weight W [d_in, d_out]."""
        path, own = self._matrix(site.layer or 0, site.part)
        d_in, d_out = weight_shape(self.model, site)
        chosen = (torch.arange(d_out) if own is None else own)[columns]
        inputs = torch.arange(d_in)[rows][:, None]

        def edit(w: torch.Tensor, b: Bias) -> tuple[torch.Tensor, Bias]:
            return w.index_put((inputs, chosen), matrix.to(w), accumulate=True), b

        self._edit(path, edit)

    def _read(self, layer: int, part: str, own: slice, change: Affine) -> None:
        """Absorb an edit of what a matrix reads: W[own] := A W[own], bias += offset · W[own]."""
        path, _ = self._matrix(layer, part)
        if change.offset is not None:
            self._bias(path)

        def edit(w: torch.Tensor, b: Bias) -> tuple[torch.Tensor, Bias]:
            new = w.clone()
            new[own] = change.linear(w[own].T).T
            return new, b if change.offset is None or b is None else b + change.offset.to(w) @ w[own]

        self._edit(path, edit)

    def _make(self, layer: int, part: str, own: slice, change: Affine) -> None:
        """Absorb an edit of what a matrix makes: W[:, own] := W[:, own] A, bias[own] := A bias[own] + offset."""
        path, columns = self._matrix(layer, part)
        chosen: Rows = own if columns is None else columns[own]
        if change.offset is not None:
            self._bias(path)

        def edit(w: torch.Tensor, b: Bias) -> tuple[torch.Tensor, Bias]:
            bias = None if b is None else _with(b, chosen, _moved(b[chosen], change))
            return _with(w, chosen, change.linear(w[:, chosen])), bias

        self._edit(path, edit)

    def _write(self, layer: int, branch: str, change: Affine) -> None:
        """Absorb an edit of what a block's attention or MLP adds to the residual stream."""
        norm = f"blocks.{layer}.{'ln1' if branch == 'attn' else 'ln2'}_post.hook_out"
        if norm not in self.model.points:
            self._make(layer, "W_O" if branch == "attn" else "W_out", slice(None), change)
            return
        if change.without is not None or change.offset is not None:
            raise NoPlace("a norm stands behind the block's weights, whose own weight can only scale: nothing is added")
        least = 1.0 if getattr(self.model.twin.cfg, "rmsnorm_uses_offset", False) else 0.0  # Gemma's 1 + weight
        name = f"{self._path(norm)}.weight"
        self._put(name, change.factor * (least + self._precise(name)) - least)

    def _stream(self, layer: int, branch: str, change: Affine) -> None:
        """Absorb an addition to the residual stream after a block's attention or MLP, as that branch's bias."""
        if not change.only_adds:
            raise NoPlace("the residual stream passes the weights by: only an addition to it can become a bias")
        factor = getattr(self.config, "residual_multiplier", 1.0)  # Granite's, of all that is added to the stream
        offset = None if change.offset is None else change.offset / factor
        self._write(layer, branch, Affine(offset=offset))

    def _embed(self, change: Affine, position: bool) -> None:
        """Absorb an edit of the embedding; with `position`, of what enters the first block."""
        if "embed_ln.hook_out" in self.model.points:
            raise NoPlace("a norm stands between the embedding and the first block")
        parts = ["embed", "pos_embed"] if position and "pos_embed" in self.model.twin._modules else ["embed"]
        for part in parts:
            name = f"{self._path(f'{part}.hook_out')}.weight"
            now = self._precise(name)
            offset = change.offset if part == "embed" else None
            if offset is not None:
                offset = offset.to(now) / embedding_factor(self.model)
            self._put(name, _moved(now, replace(change, offset=offset)))

    # -- where ----------------------------------------------------------------------------------------------------

    def _matrix(self, layer: int, part: str) -> tuple[str, torch.Tensor | None]:
        """The module that holds a block's matrix, and its columns there where it shares it."""
        if (layer, part) in self._columns:
            return self._path(f"blocks.{layer}.attn.qkv.hook_out"), self._columns[layer, part]
        return self._path(hook_name(Site("weight", layer, part=part))), None

    def _path(self, hook: str) -> str:
        """The Hugging Face module with the weight behind a hook."""
        try:
            path = place(self.model, hook)[0]
        except ValueError as error:
            raise NoPlace(str(error)) from None
        if f"{path}.weight" not in self._now:
            raise NoPlace(f"{path} has no weight of its own")
        return path

    def _edit(self, path: str, edit: Callable[[torch.Tensor, Bias], tuple[torch.Tensor, Bias]]) -> None:
        """Replace a module's weight, oriented [d_in, d_out], and its bias."""
        name, across = f"{path}.weight", isinstance(self._plain.get_submodule(path), Conv1D)
        weight, bias = self._precise(name), self._precise(f"{path}.bias") if f"{path}.bias" in self._now else None
        new, moved = edit(weight if across else weight.T, bias)
        self._put(name, new if across else new.T)
        if moved is not None:
            self._put(f"{path}.bias", moved)

    def _precise(self, name: str) -> torch.Tensor:
        """A tensor in double precision, on the CPU: not every device has it."""
        return self._now[name].to("cpu", torch.float64)

    def _put(self, name: str, tensor: torch.Tensor) -> None:
        self._now[name] = tensor.to(self._now[name]).contiguous()

    def _bias(self, path: str) -> None:
        """See to it that a module has a bias: zeros, where the class can have one and the config says it does not."""
        name = f"{path}.bias"
        if name in self._now:
            return
        for flag in (flag for flag in _BIAS_FLAGS if hasattr(self.config, flag)):
            config = copy.deepcopy(self.config)
            setattr(config, flag, True)  # perhaps it is, for another block's sake
            if name in twin.named_tensors(twin.blank(self._type, config)):
                self.config = config
                weight = self._now[f"{path}.weight"]
                width = weight.shape[1 if isinstance(self._plain.get_submodule(path), Conv1D) else 0]
                self._now[name] = weight.new_zeros(width)
                return
        raise NoPlace(f"{self._type.__name__} can have no bias at {path.rpartition('.')[2]}, which could hold it")

    # -- the result -----------------------------------------------------------------------------------------------

    def hugging_face(self) -> Any:
        """A plain Hugging Face model of the tensors as they are now, none of them shared with the user's model."""
        head, embed = (f"{self._path(f'{part}.hook_out')}.weight" for part in ("unembed", "embed"))
        if self._now[head] is not self._now[embed]:
            self.config.tie_word_embeddings = False
        made = twin.blank(self._type, self.config)
        for name, empty in twin.named_tensors(made).items():
            self._now.setdefault(name, self._now[embed].new_zeros(empty.shape))  # biases that came with a flag
        copies = {id(now): now.clone() for now in self._now.values()}
        tensors = {name: copies[id(now)] for name, now in self._now.items()}
        twin.share(tensors, made)
        made.tie_weights()
        if self._generation is not None:
            made.generation_config = self._generation
        return made.eval().requires_grad_(True)


def _with(x: torch.Tensor, own: Rows, new: torch.Tensor) -> torch.Tensor:
    """x [..., all] with x[..., own] replaced."""
    out = x.clone()
    out[..., own] = new.to(out)
    return out


def _moved(x: torch.Tensor, change: Affine) -> torch.Tensor:
    new = change.linear(x)
    return new if change.offset is None else new + change.offset.to(new)


def embedding_factor(model: Model) -> float:
    """By how much a model multiplies its embedding's rows (Gemma and Granite do)."""
    rows = model.twin.embed.original_component.weight[:_PROBE]
    seen = model.capture(torch.arange(len(rows), device=rows.device)[None], ["hook_embed"])["hook_embed"][0]
    return float((seen * rows).sum() / (rows * rows).sum())
