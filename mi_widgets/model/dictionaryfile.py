"""Dictionaryfile: dictionaries as other packages write them, read as arrays and JSON and never as code.

A folder is one of four kinds, told by its files:

sae_weights.safetensors, cfg.json    SAELens (standard, gated, topk, jumprelu)
sae.safetensors, cfg.json            sparsify (topk)
params.safetensors, config.json      Gemma Scope 2 (jumprelu)
params.npz                           Gemma Scope (jumprelu)

What their configuration does to an activation is done here too, or the folder is refused: a dictionary that reads
other numbers than it was trained on is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .dictionary import KINDS, Dictionary

DEFAULT = Path(__file__).parent.parent / "dictionaries" / "smollm2-135m-instruct"
_MOST = 1 << 20  # bytes of a configuration
_HOOK = re.compile(r"blocks\.(\d+)\.hook_(resid_post|resid_pre|mlp_out)$")
_MODULE = re.compile(r"(?:^|[./_-])(?:layers|layer|h)[._](\d+)(\.mlp)?(?=$|[/_])")
_PARTS = {"resid_post": "post", "resid_pre": "pre", "mlp_out": "ffn"}
_NORMS = {None: "none", "none": "none", "constant_norm_rescale": "constant_norm", "layer_norm": "layer_norm"}

Fields = dict[str, Any]


def read(folder: str | Path | None, layer: int | None, part: str | None) -> Dictionary:
    """The dictionary in a folder; see `Dictionary.load`."""
    path = DEFAULT if folder is None else Path(folder)
    for weights, reader in _READERS.items():
        if (path / weights).is_file():
            found = reader(path, path / weights)
            return Dictionary(**_placed(path, found, layer, part), name=path.name)
    raise ValueError(f"{path} holds no dictionary: none of {', '.join(_READERS)} is in it")


def _placed(path: Path, found: Fields, layer: int | None, part: str | None) -> Fields:
    """Fields with the place that is given, or that the configuration or the folder's name says."""
    hook = str(found.pop("hook", "") or "")
    known = _HOOK.search(hook)
    if hook.startswith("blocks.") and not known and layer is None:
        known_hooks = ", ".join(f"blocks.{{layer}}.hook_{name}" for name in _PARTS)
        raise ValueError(f"{path} reads {hook}; a dictionary here reads one of {known_hooks}")
    named = _MODULE.search(hook or path.resolve().as_posix())
    if known:
        place: tuple[int, str] | None = int(known[1]), _PARTS[known[2]]
    else:
        place = (int(named[1]), "ffn" if named[2] or "mlp" in path.resolve().as_posix() else "post") if named else None
    if layer is None and place is None:
        raise ValueError(f"nothing says which layer {path} reads: mi.Dictionary.load(folder, layer=12)")
    own_layer, own_part = place or (layer, "post")
    return {**found, "layer": own_layer if layer is None else layer, "part": own_part if part is None else part}


def _saelens(path: Path, weights: Path) -> Fields:
    config = _config(path / "cfg.json")
    told = config.get("metadata")
    more: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    kind = str(config.get("architecture", "standard"))
    kwargs = config.get("activation_fn_kwargs") or {}
    function = config.get("activation_fn", config.get("activation_fn_str", "relu"))
    if kind == "standard" and function == "topk":
        kind = "topk"
    elif function not in ("relu", "topk"):
        raise ValueError(f"{path} uses the activation function {function!r:.40}, which is not known here")
    _require(path, kind in KINDS, f"is a {kind!r:.40}, which is none of ours")
    norm = config.get("normalize_activations", "none")
    if norm == "expected_average_only_in":
        raise ValueError(
            f"{path} was trained on activations scaled by a factor that it does not hold (expected_average_only_in); "
            "fold it into the weights with SAELens (fold_activation_norm_scaling_factor) and save it again"
        )
    _require(path, norm in _NORMS, f"normalises by {norm!r:.40}, which is not known here")
    unknown = "finetuning_scaling_factor"
    _require(path, not config.get(unknown), f"uses {unknown}, not known here")
    _require(path, config.get("reshape_activations", "none") in ("none", None, ""), "joins heads (hook_z)")
    _require(path, config.get("hook_head_index", more.get("hook_head_index")) is None, "reads one head")
    tensors = _tensors(weights)
    found: Fields = {
        **_renamed(path, tensors, {"W_enc": "encoder", "W_dec": "decoder", "b_dec": "decoder_bias"}),
        "kind": kind,
        "k": int(config.get("k") or kwargs.get("k") or 0),
        "centred": bool(config.get("apply_b_dec_to_input", True)),
        "norm": _NORMS[norm],
        "hook": config.get("hook_name") or more.get("hook_name") or config.get("hook_point"),
        "card": {"format": "SAELens", "model": config.get("model_name") or more.get("model_name")},
    }
    if kind == "gated":
        names = {"b_gate": "encoder_bias", "r_mag": "gate_gain", "b_mag": "gate_bias"}
    else:
        names = {"b_enc": "encoder_bias", **({"threshold": "threshold"} if kind == "jumprelu" else {})}
    found |= _renamed(path, tensors, names)
    return _folded(found) if config.get("rescale_acts_by_decoder_norm") else found


def _folded(found: Fields) -> Fields:
    """Activations in units of the decoder rows' lengths, by which the k largest are chosen."""
    length = found["decoder"].norm(dim=1)
    return {
        **found,
        "encoder": found["encoder"] * length,
        "encoder_bias": found["encoder_bias"] * length,
        "decoder": found["decoder"] / length[:, None],
    }


def _sparsify(path: Path, weights: Path) -> Fields:
    config = _config(path / "cfg.json")
    config = {**config, **(config["sae"] if isinstance(config.get("sae"), Mapping) else {})}
    _require(path, not config.get("transcode"), "is a transcoder: it predicts a module's output from its input")
    _require(path, not config.get("skip_connection"), "has a skip connection")
    activation = config.get("activation", "topk")
    _require(path, activation == "topk", f"uses the activation function {activation!r:.40}, not known here")
    tensors = _tensors(weights)
    found = _renamed(
        path,
        tensors,
        {"encoder.weight": "encoder", "encoder.bias": "encoder_bias", "W_dec": "decoder", "b_dec": "decoder_bias"},
    )
    found["encoder"] = found["encoder"].T.contiguous()
    card = path / "card.json"
    told = {"format": "sparsify", **(_config(card) if card.is_file() else {})}
    hook = told.get("hook", "")
    return {**found, "kind": "topk", "k": int(config.get("k", 32)), "card": told, "hook": hook}


def _gemma_scope(path: Path, weights: Path) -> Fields:
    tensors = _tensors(weights) if weights.suffix == ".safetensors" else _npz(weights)
    tensors = {name.lower(): tensor for name, tensor in tensors.items()}
    _require(path, "affine_skip_connection" not in tensors, "is a transcoder with a skip connection")
    names = {"w_enc": "encoder", "b_enc": "encoder_bias", "w_dec": "decoder", "b_dec": "decoder_bias"}
    found: Fields = _renamed(path, tensors, {**names, "threshold": "threshold"})
    config = _config(path / "config.json") if (path / "config.json").is_file() else {}
    kind = str(config.get("architecture", "jump_relu"))
    _require(path, kind == "jump_relu", f"is a {kind!r:.40}, which is none of ours")
    own = path.resolve().as_posix()
    wrong = next((word for word in ("transcoder", "clt", "-att", "attn_out") if word in own), "")
    _require(path, not wrong, f"reads or writes what no dictionary here does ({wrong})")
    told = {"format": "Gemma Scope", "model": config.get("model_name")}
    return {**found, "kind": "jumprelu", "centred": False, "card": told}


_READERS: dict[str, Callable[[Path, Path], Fields]] = {
    "sae_weights.safetensors": _saelens,
    "sae.safetensors": _sparsify,
    "params.safetensors": _gemma_scope,
    "params.npz": _gemma_scope,
}


def _config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path.parent} has no {path.name}, which says how its dictionary is used")
    if path.stat().st_size > _MOST:
        raise ValueError(f"{path} is larger than a configuration is ({_MOST} bytes)")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is no object of JSON")
    return found


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {name: tensor.float() for name, tensor in load_file(str(path)).items()}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from None


def _npz(path: Path) -> dict[str, Tensor]:
    try:
        with np.load(path) as arrays:  # which refuses pickles unless it is told to take them
            return {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays.files}
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is not a file of plain arrays: {error}") from None


def _renamed(path: Path, tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    absent = [name for name in names if name not in tensors]
    _require(path, not absent, f"lacks the tensor {(absent or [''])[0]!r}; it has {', '.join(sorted(tensors))}")
    return {ours: tensors[name] for name, ours in names.items()}


def _require(path: Path, condition: object, problem: str) -> None:
    if not condition:
        raise ValueError(f"{path} {problem}, so its numbers would be others than it was trained on")


__all__ = ["DEFAULT", "read"]
