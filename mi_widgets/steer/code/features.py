"""Features: what a program needs to edit the features of a dictionary, whose arrays it loads from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...intervention import Intervention
from ...model import Dictionary, Model

_SPARSE = {
    "standard": "return before.relu()",
    "topk": "values, where = before.relu().topk({k}, dim=-1)\n"
    "    return torch.zeros_like(before).scatter(-1, where, values)",
    "jumprelu": 'return torch.where(before > sae["threshold"], before.relu(), 0.0)',
    "gated": 'second = (read * sae["gate_gain"].exp() + sae["gate_bias"]).relu()\n'
    "    return torch.where(before > 0, second, 0.0)",
}
_NORMED = {
    "none": "x, 1.0",
    "constant_norm": "x / (x.norm(dim=-1, keepdim=True) / {root}), x.norm(dim=-1, keepdim=True) / {root}",
    "layer_norm": "(x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5), x.std(-1, keepdim=True)",
}
_SOURCES = {
    "sae": """
sae = {{name: torch.from_numpy(a) for name, a in load_file({path!r}).items()}}
""",
    "normed": '''
def normed(x):
    """What the dictionary reads, and what its output is multiplied by."""
    x = x.float()
    return {normed}
''',
    "active": '''
def active(x):
    """How active each feature is, [..., d_sae]."""
    x = normed(x)[0]{centred}
    read = x @ sae["encoder"]
    before = read + sae["encoder_bias"]
    {sparse}
''',
    "feature": '''
def feature(j, change):
    """x with the activation of feature j changed, [..., 1]; what the dictionary lacks stays."""
    def changed(x):
        a = active(x)[..., [j]]
        return x + ((change(a) - a) * sae["decoder"][j] * normed(x)[1]).to(x)
    return changed
''',
    "feature_means": '''
def feature_means(texts, place, j):
    """The mean activation of feature j at position 0, and at all other positions."""
    runs = [active(activations(encode(t), [place])[place][0])[:, j] for t in texts]
    return torch.stack([run[0] for run in runs]).mean(), torch.cat([run[1:] for run in runs]).mean()
''',
}


def source(dictionary: Dictionary, path: str) -> dict[str, str]:
    """Functions by name, for a dictionary whose arrays `Dictionary.save` wrote to a file."""
    words = {
        "path": path,
        "normed": _NORMED[dictionary.norm].format(root=dictionary.width**0.5),
        "centred": ' - sae["decoder_bias"]' if dictionary.centred else "",
        "sparse": _SPARSE[dictionary.kind].format(k=dictionary.k),
    }
    return {name: text.format(**words) for name, text in _SOURCES.items()}


def dictionary_of(steps: Sequence[Intervention], model: Model | None, path: str | Path | None) -> Dictionary:
    """The one dictionary of a recipe's features; ValueError where there are several, or its arrays have no file."""
    if model is None:
        raise ValueError("code for features needs the model that has their dictionary: recipe.code(model=model, ...)")
    owners = model.do(lambda: [model.dictionary(step.site) for step in steps])
    found = {own.hash: own for own in owners}
    if len(found) > 1:
        raise ValueError(f"a program edits the features of one dictionary; this recipe names {len(found)}")
    (own,) = found.values()
    if path is None:
        raise ValueError(
            f"code loads the arrays of {own!r}: model.dictionary(site).save(path), then recipe.code(features=path)"
        )
    return own


__all__ = ["dictionary_of", "source"]
