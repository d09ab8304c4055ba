"""Control vector: steering vectors that others have made, read from their files into a Recipe.

GGUF files of repeng and llama.cpp hold one float tensor `direction.{layer}` [d_model] for each layer; both add it,
times a coefficient, to the output of block `layer`, counted from 0, at every position. Plain safetensors files hold the
same under names that end in a layer's number, or one tensor. Nothing else is read: a .pt or .npy file may hold a
program.
"""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ..direction import Direction
from ..intervention import Recipe
from ..model import Model
from .amplitude import neutral
from .contrast import add, residual_norms

_GGUF = "controlvector"  # the architecture that such a file names


def control_vector(model: Any, path: str | Path, layer: int | None = None) -> Recipe:
    """A Recipe that adds a control vector's directions, each at its own length: the file's coefficient 1.

    `.at(c)` is the coefficient c, negative ones too. path: a .gguf file (architecture "controlvector"), or a
    .safetensors file whose keys end in a layer's number ("direction.12"), or with one tensor [layer, d_model] of all
    layers, or one tensor [d_model] together with `layer`. `norm` of each Direction is the median residual norm on the
    package's neutral texts. Cost: a forward pass for each of those. Raises ValueError, with what is wrong, for another
    kind of file, keys that name no layer, another d_model, and layers that the model lacks.
    """
    model, path = Model.of(model), Path(path)
    readers = {".gguf": _gguf, ".safetensors": _safetensors}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path.name} is neither a .gguf nor a .safetensors file, and nothing else is read")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    vectors = _by_layer(readers[path.suffix.lower()](path), path.name, model, layer)
    live = {at: vector for at, vector in sorted(vectors.items()) if vector.any()}
    if not live:
        raise ValueError(f"{path.name} holds nothing but zeros, so it would change nothing")
    norms = residual_norms(model, neutral(), list(live))
    directions = [
        Direction(
            vector, at, norm, float(np.linalg.norm(vector)) / norm, path.stem,
            provenance=model.provenance, kind="control vector",
        )
        for (at, vector), norm in zip(live.items(), norms, strict=True)
    ]  # fmt: skip
    recipe = add(directions)
    source = {"file": path.name, "sha256": sha256(path.read_bytes()).hexdigest()}
    return Recipe(recipe.interventions, {**recipe.provenance, "control_vector": source})


def _by_layer(tensors: dict[str, np.ndarray], file: str, model: Model, layer: int | None) -> dict[int, np.ndarray]:
    """Each layer's vector [d_model], float32."""
    found: dict[int, np.ndarray] = {}
    for name, tensor in _named(tensors, file, model, layer):
        at = int(name)
        if at >= model.n_layers:
            raise ValueError(
                f"{file} has a direction for layer {at}; {model.name} has layers 0 to {model.n_layers - 1}"
            )
        if tensor.shape != (model.d_model,):
            raise ValueError(f"{file}: layer {at} has shape {tensor.shape}; {model.name} has d_model {model.d_model}")
        if not np.isfinite(tensor).all():
            raise ValueError(f"{file}: layer {at} holds numbers that are not finite")
        if at in found:
            raise ValueError(f"{file} has two directions for layer {at}")
        found[at] = tensor.astype(np.float32)
    return found


def _named(tensors: dict[str, np.ndarray], file: str, model: Model, layer: int | None) -> list[tuple[str, np.ndarray]]:
    """Each tensor with its layer's number."""
    if not tensors:
        raise ValueError(f"{file} holds no tensors")
    ends = {name: re.search(r"(?<!\d)(\d+)$", name) for name in tensors}
    if layer is None and all(ends.values()):
        return [(end[1], tensors[name]) for name, end in ends.items() if end]
    if len(tensors) > 1:
        stranger = next((name for name, end in ends.items() if not end), None)
        why = "layer= is for a file of one tensor" if stranger is None else f"the key {stranger!r} names no layer"
        raise ValueError(f"{file}: {why}; keys end in a layer's number, like 'direction.12'")
    ((name, tensor),) = tensors.items()
    if tensor.ndim == 1:
        if layer is None:
            raise ValueError(f"{file} holds one vector, {name!r}, and does not say for which layer: give layer=")
        if isinstance(layer, bool) or not isinstance(layer, int) or layer < 0:
            raise ValueError(f"layer must be a whole number from 0, not {layer!r}")
        return [(str(layer), tensor)]
    if layer is not None or tensor.ndim != 2 or len(tensor) != model.n_layers:
        raise ValueError(f"{file}: {name!r} has shape {tensor.shape}, not [{model.n_layers} layers, {model.d_model}]")
    return [(str(at), row) for at, row in enumerate(tensor)]


def _gguf(path: Path) -> dict[str, np.ndarray]:
    from gguf import GGMLQuantizationType, GGUFReader

    try:
        reader = GGUFReader(path)
        field = reader.get_field("general.architecture")
        architecture = field.contents() if field else None
    except (ValueError, IndexError, KeyError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(f"{path.name} is not a GGUF file that can be read: {error}") from error
    if architecture != _GGUF:
        raise ValueError(f"{path.name} is a GGUF file of the architecture {architecture!r}, not {_GGUF!r}")
    plain = (GGMLQuantizationType.F32, GGMLQuantizationType.F16)
    for tensor in reader.tensors:
        if not re.fullmatch(r"direction\.\d+", tensor.name):
            raise ValueError(f"{path.name}: the tensor {tensor.name!r} is no 'direction.{{layer}}'")
        if tensor.tensor_type not in plain:
            raise ValueError(f"{path.name}: {tensor.name} is {tensor.tensor_type.name}, not F32 or F16")
    return {tensor.name: np.array(tensor.data) for tensor in reader.tensors}


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            if "direction" in (file.metadata() or {}):
                raise ValueError(f"{path.name} is a saved Direction: mi.Direction.load(path).add()")
            return {name: file.get_tensor(name).float().numpy() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path.name} is not a safetensors file that can be read: {error}") from error
