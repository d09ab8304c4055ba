"""Translator: a small affine correction that lets the last layer's unembedding read an earlier layer.

After Belrose et al. 2023 ("tuned lens"): h becomes h + (h A_l) B_l + b_l before the final norm and the unembedding,
with A_l [d_model, rank] and B_l [rank, d_model] trained so that the reading comes close to the model's own output. The
last layer has no correction: its reading is the model's own output anyway.

What it does not show: a translator is trained to predict what the later layers will do, so a token in its reading may
be one that the layer makes likely rather than one that it already writes. Read it beside the plain lens; its held-out
KL for each layer, and that of the plain lens, are in `held_out`.

Cost: two products of d_model × rank for each vector, next to one of d_model × d_vocab for the unembedding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..model import Model

FORMAT = "mi_widgets.translator/1"
_FOLDER = Path(__file__).parent.parent / "lenses"
_TENSORS = {"down", "up", "bias"}
_FIELDS = {"format", "model", "weights", "method", "seed", "trained_on", "held_out", "versions"}
_HELD_OUT = {"texts", "tokens", "plain", "affine", "not_improved"}


@dataclass(frozen=True, eq=False)
class Translator:
    """One affine correction for each layer's residual stream after its block.

    down: A [layer, d_model, rank]. up: B [layer, rank, d_model]. bias: b [layer, d_model].
    source: what it belongs to and what was measured, as it stands in the file: `weights` (the short hash of the model
        it was trained for), method, seed, `trained_on`, `held_out`, versions.
    """

    down: Float[Tensor, "layer d_model rank"]
    up: Float[Tensor, "layer rank d_model"]
    bias: Float[Tensor, "layer d_model"]
    source: dict[str, Any]

    def __post_init__(self) -> None:
        layers, width, rank = self.down.shape if self.down.ndim == 3 else (0, 0, 0)
        wanted = {"down": (layers, width, rank), "up": (layers, rank, width), "bias": (layers, width)}
        found = {name: tuple(getattr(self, name).shape) for name in wanted}
        if found != wanted or 0 in (layers, width, rank):
            raise ValueError(f"a translator has down [layer, d_model, rank], up and bias to match; got {found}")
        if not all(bool(torch.isfinite(getattr(self, name)).all()) for name in wanted):
            raise ValueError("a translator's numbers are finite; these hold NaN or infinity")
        _check_source(self.source, layers)

    @property
    def layers(self) -> int:
        """For how many layers there is a correction."""
        return self.down.shape[0]

    @property
    def rank(self) -> int:
        """The rank of each correction."""
        return self.down.shape[2]

    @property
    def held_out(self) -> dict[str, Any]:
        """KL(model's own output || reading) in nats a token for each layer, on texts that were not trained on.

        "plain" is the logit lens, "affine" this translator; "not_improved" names the layers where it doesn't help;
        "texts" is the hash of the texts, "tokens" how many positions were read.
        """
        return dict(self.source["held_out"])

    def apply(self, layer: int, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """The residual stream after block `layer` as the last layer's unembedding should get it; x is left as it is.

        Leave position 0 out of account: no translator was trained on it.
        """
        if not 0 <= layer < self.layers:
            raise ValueError(f"this translator has layers 0 to {self.layers - 1}, not {layer}")
        if x.shape[-1] != self.bias.shape[1]:
            raise ValueError(f"this translator reads vectors of {self.bias.shape[1]} numbers, not {x.shape[-1]}")
        down, up, bias = (part[layer].to(x.device) for part in (self.down, self.up, self.bias))
        wide = x.float()
        return (wide + (wide @ down) @ up + bias).to(x.dtype)

    @classmethod
    def default(cls, model: Any) -> Translator | None:
        """The translator that comes with the package for this model's weights; None where there is none."""
        weights = Model.of(model).weights
        for path in sorted(_FOLDER.glob("*.safetensors")):
            found = cls.load(path)
            if found.source["weights"] == weights:
                return found
        return None

    @classmethod
    def load(cls, path: str | Path, model: Any = None) -> Translator:
        """Open a file that `save` wrote; with a model, refuse one that was trained for other weights."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="numpy") as file:
                header = (file.metadata() or {}).get("translator")
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{path} is not a safetensors file: {error}") from None
        if header is None or set(arrays) != _TENSORS:
            raise ValueError(f"{path} is not a translator: it holds {', '.join(sorted(arrays)) or 'nothing'}")
        tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
        try:
            found = cls(**tensors, source=json.loads(header))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if model is not None:
            found.check(model)
        return found

    def check(self, model: Any) -> None:
        """Raise ValueError where this translator was trained for other weights than the model's."""
        model = Model.of(model)
        if self.source["weights"] != model.weights:
            raise ValueError(
                f"this translator was trained for {self.source['model']} with weights {self.source['weights']}; "
                f"{model.name} has weights {model.weights}. Train one with tools/train_lens.py, or use the plain lens"
            )

    def save(self, path: str | Path) -> Path:
        """Write it as float16 safetensors with `source` as JSON in the header."""
        from safetensors.numpy import save_file

        arrays = {name: getattr(self, name).detach().half().cpu().numpy() for name in sorted(_TENSORS)}
        save_file(arrays, str(path), metadata={"translator": json.dumps(self.source)})
        return Path(path)


def _check_source(source: Any, layers: int) -> None:
    """Exactly the known fields, and a held-out KL of both lenses for each layer."""
    _check_fields("a translator's header", source, _FIELDS)
    if source["format"] != FORMAT:
        raise ValueError(f"this is not a translator of format {FORMAT} but {source['format']!r}")
    _check_fields("held_out", source["held_out"], _HELD_OUT)
    for name in ("plain", "affine"):
        values = source["held_out"][name]
        if not isinstance(values, list) or len(values) != layers:
            raise ValueError(f"held_out.{name} has one number for each of the {layers} layers, not {values!r}")


def _check_fields(what: str, found: Any, wanted: set[str]) -> None:
    if not isinstance(found, Mapping) or set(found) != wanted:
        got = sorted(set(found) ^ wanted) if isinstance(found, Mapping) else found
        raise ValueError(f"{what} has the fields {', '.join(sorted(wanted))}; missing or unknown: {got!r}")
