"""Recipefile: recipes as JSON of a closed schema, with their arrays inside or in a safetensors file beside it.

Nothing in a file is run, unpickled or followed as a path. Every array stands under the SHA-256 of its bytes and shape,
every direction, delta, subspace and reference under its own hash, and what does not have the hash it stands under is
refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from .delta import Delta
from .direction import FIELDS, Direction
from .intervention import NEEDS, Condition, Intervention, Recipe
from .reference import Reference
from .site import Site
from .subspace import Subspace

_FORMAT = "mi_widgets.recipe/1"
_INLINE_BYTES = 8192
_PLAIN = ("amount", "low", "high", "seed", "prompt")
_SETTINGS = {"where": "all", "spare_first": False, "everywhere": False, "dictionary": ""}
_TABLES = ("references", "directions", "deltas", "subspaces", "arrays")


def fingerprint(recipe: Recipe) -> str:
    """The first 16 hex digits of the SHA-256 of what a recipe does."""
    plain, arrays = _encode(recipe)
    plain.pop("provenance")
    return hashlib.sha256(json.dumps([plain, sorted(arrays)], sort_keys=True).encode()).hexdigest()[:16]


def write(recipe: Recipe, path: str | Path) -> Path:
    """Write a recipe; arrays above 8 kB go to a safetensors file of the same stem."""
    from safetensors.numpy import save_file

    path = Path(path)
    if path.suffix != ".json":
        raise ValueError(
            f"a recipe is a .json file, with its arrays in a .safetensors file beside it; not {path.name!r}"
        )
    plain, arrays = _encode(recipe)
    large = {key: array for key, array in arrays.items() if array.nbytes > _INLINE_BYTES}
    plain["arrays"] = {
        key: {
            "shape": array.shape,
            "data": None if key in large else base64.b64encode(array.tobytes()).decode(),
        }
        for key, array in arrays.items()
    }
    written = json.dumps(plain, ensure_ascii=False, indent=1).encode("utf-8")
    if large:
        save_file(large, str(path.with_suffix(".safetensors")))
    path.write_bytes(written + b"\n")
    return path


def write_arrays(recipe: Recipe, path: str | Path) -> Path:
    """Write a recipe's arrays alone, each under its hash; ValueError when it has none."""
    from safetensors.numpy import save_file

    arrays = _encode(recipe)[1]
    if not arrays:
        raise ValueError("this recipe has no arrays to save: no direction or subspace, and no addition to a weight")
    save_file(arrays, str(path))
    return Path(path)


def read(path: str | Path) -> Recipe:
    """The recipe in a file, or a ValueError that names the file and what is wrong with it."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
        return _decode(data, path.with_suffix(".safetensors"))
    except KeyError as error:
        raise ValueError(f"{path} is not a whole recipe: {error} is missing") from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is not a recipe that can be read: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which no name stands twice."""
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r:.40} stands twice in one object")
    return data


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def digest(array: np.ndarray) -> str:
    """The SHA-256 of an array's shape and bytes."""
    return hashlib.sha256(json.dumps(array.shape).encode() + array.tobytes()).hexdigest()


# -- writing ------------------------------------------------------------------------------------------------------


def _encode(recipe: Recipe) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The recipe as JSON data, and its arrays by their hashes."""
    steps = recipe.interventions
    conditions = [step.condition for step in steps if step.condition]
    directions = {d.hash: d for d in (*(s.direction for s in steps if s.direction), *(c.direction for c in conditions))}
    deltas = {step.delta.hash: step.delta for step in steps if step.delta}
    subspaces = {step.subspace.hash: step.subspace for step in steps if step.subspace}
    arrays: dict[str, np.ndarray] = {}

    def kept(array: np.ndarray | None) -> str | None:
        if array is None:
            return None
        key = digest(array)
        arrays[key] = array
        return key

    plain = {
        "format": _FORMAT,
        "interventions": [_step(step) for step in steps],
        "references": {step.reference.hash: step.reference.texts for step in steps if step.reference},
        "directions": {
            key: {**{name: getattr(d, name) for name in FIELDS}, "vector": kept(d.vector)}
            for key, d in directions.items()
        },
        "deltas": {
            key: {"rows": d.rows, "columns": d.columns, "left": kept(d.left), "right": kept(d.right)}
            for key, d in deltas.items()
        },
        "subspaces": {key: {"layer": s.layer, "name": s.name, "basis": kept(s.basis)} for key, s in subspaces.items()},
        "provenance": recipe.provenance,
    }
    return plain, arrays


def _step(step: Intervention) -> dict[str, Any]:
    plain: dict[str, Any] = {"op": step.op, "site": step.site.to_dict(), "strength": step.strength}
    plain |= {name: getattr(step, name) for name in _PLAIN if name in NEEDS[step.op]}
    plain |= {name: getattr(step, name) for name, usual in _SETTINGS.items() if getattr(step, name) != usual}
    for name in ("reference", "direction", "delta", "subspace"):
        value = getattr(step, name)
        plain |= {name: value.hash} if value else {}
    if step.condition:
        gate = step.condition
        plain["condition"] = {"direction": gate.direction.hash, "above": gate.above, "position": gate.position}
    return plain


# -- reading ------------------------------------------------------------------------------------------------------


def _decode(data: Any, beside: Path) -> Recipe:
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise ValueError(f"its format is not {_FORMAT}; a newer mi_widgets may have written it")
    _closed(data, {"format", "interventions", "provenance", *_TABLES})
    for name in (*_TABLES, "provenance"):
        if not isinstance(data[name], dict):
            raise ValueError(f"its {name} are no table but {data[name]!r:.80}")
    if not isinstance(data["interventions"], list):
        raise ValueError(f"its interventions are no list but {data['interventions']!r:.80}")
    arrays = _arrays(data["arrays"], beside)
    known: dict[str, dict[str, Any]] = {
        "reference": {key: Reference(texts) for key, texts in data["references"].items()},
        "direction": {key: _direction(entry, arrays) for key, entry in data["directions"].items()},
        "delta": {key: _delta(entry, arrays) for key, entry in data["deltas"].items()},
        "subspace": {key: _subspace(entry, arrays) for key, entry in data["subspaces"].items()},
    }
    for kind, table in known.items():
        for key, value in table.items():
            if value.hash != key:
                raise ValueError(f"the {kind} under {key!r:.40} does not have that hash but {value.hash}")
    return Recipe(tuple(_intervention(step, known) for step in data["interventions"]), data["provenance"])


def _intervention(step: dict[str, Any], known: dict[str, dict[str, Any]]) -> Intervention:
    _closed(step, {"op", "site", "strength", "condition", *known, *_PLAIN, *_SETTINGS})
    _whole(step, ("strength", *(name for name in _PLAIN if name in NEEDS.get(step["op"], ()))))
    step = {**step, "site": Site.from_dict(step["site"])}
    for name, table in known.items():
        if name in step:
            step[name] = table[step[name]]
    if "condition" in step:
        _closed(step["condition"], {"direction", "above", "position"})
        _whole(step["condition"], ("above", "position"))
        gate = {**step["condition"], "direction": known["direction"][step["condition"]["direction"]]}
        step["condition"] = Condition(**gate)
    return Intervention(**step)


def _direction(entry: dict[str, Any], arrays: dict[str, np.ndarray]) -> Direction:
    _closed(entry, {*FIELDS, "vector"})
    return Direction(arrays[entry["vector"]], **{name: entry[name] for name in FIELDS})


def _delta(entry: dict[str, Any], arrays: dict[str, np.ndarray]) -> Delta:
    _closed(entry, {"rows", "columns", "left", "right"})
    right = None if entry["right"] is None else arrays[entry["right"]]
    chosen = {name: None if entry[name] is None else tuple(entry[name]) for name in ("rows", "columns")}
    return Delta(arrays[entry["left"]], right, **chosen)


def _subspace(entry: dict[str, Any], arrays: dict[str, np.ndarray]) -> Subspace:
    _closed(entry, {"layer", "name", "basis"})
    return Subspace(arrays[entry["basis"]], entry["layer"], entry["name"])


def _arrays(entries: dict[str, Any], beside: Path) -> dict[str, np.ndarray]:
    """Arrays by hash; each one's own hash is checked."""
    for entry in entries.values():
        _closed(entry, {"shape", "data"})
    apart = _beside(beside) if any(entry["data"] is None for entry in entries.values()) else {}
    arrays = {}
    for key, entry in entries.items():
        if entry["data"] is None:
            array = apart[key]
        else:
            array = np.frombuffer(base64.b64decode(entry["data"], validate=True), dtype=np.float32)
            array = array.reshape(tuple(entry["shape"]))
        if array.dtype != np.float32 or digest(array) != key:
            raise ValueError(f"the array {key!r:.40} does not have the hash that it stands under")
        arrays[key] = array
    return arrays


def _beside(path: Path) -> dict[str, np.ndarray]:
    """The large arrays of a recipe, in the file beside it."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise ValueError(f"its arrays are not in {path.name}: {error}") from None


def _whole(data: dict[str, Any], needed: tuple[str, ...]) -> None:
    absent = [name for name in needed if name not in data]
    if absent:
        raise KeyError(absent[0])


def _closed(data: dict[str, Any], allowed: set[str]) -> None:
    unknown = set(data) - allowed
    if unknown:
        raise ValueError(f"it has the unknown field {sorted(unknown)[0]!r:.40}")
