"""Helpers: the functions and imports that programs may need, as source, and which of them a program does need."""

from __future__ import annotations

import ast
from collections.abc import Mapping

#: What a program may import, by the name it uses, in the order it is written.
_STANDARD = {name: f"import {name}" for name in ("hashlib", "json", "os", "random")}
_OTHERS = {
    "np": "import numpy as np",
    "torch": "import torch",
    "load_file": "from safetensors.numpy import load_file",
    "TransformerBridge": "from transformer_lens.model_bridge import TransformerBridge",
    "AutoModelForCausalLM": "from transformers import AutoModelForCausalLM, AutoTokenizer",
}

#: Functions that are the same in every flavour. A place is a hook's name, or a module's path and side.
SHARED = {
    "array": '''
def array(key):
    """An array of the file, whose SHA-256 is its name there."""
    a = arrays[key]
    assert hashlib.sha256(json.dumps(a.shape).encode() + a.tobytes()).hexdigest() == key, "the file has been changed"
    return torch.from_numpy(a)
''',
    "contrast": '''
def contrast(positive, negative, place):
    """The unit vector from the negative texts' mean residual to the positive ones' (first token left out)."""
    def mean(texts):
        runs = [activations(encode(t), [place])[place][0, 1:].float().cpu().numpy().mean(0) for t in texts]
        return np.stack(runs).astype(np.float64).mean(0)
    v = mean(positive) - mean(negative)
    return torch.from_numpy((v / np.linalg.norm(v)).astype(np.float32))
''',
    "token_direction": '''
def token_direction(token, other=None):
    """The unit vector by which the final norm and the unembedding read a token, against the mean over all tokens.

    With another token: the unit vector from that one's to this one's.
    """
    zero, uneven = torch.zeros(2, 1, 1, unembedding.shape[1], dtype=unembedding.dtype)
    uneven[..., 0], uneven[..., 1:] = 1 - uneven.shape[-1], 1
    weight = (final_norm(uneven) - final_norm(zero)) / uneven  # the norm's, up to a factor
    v = (weight[0, 0] * (unembedding[token] - unembedding.mean(0))).float()
    if torch.equal(final_norm(zero + 1), final_norm(zero)):  # a norm that takes the mean away
        v = v - v.mean()
    v = v / v.norm()
    return v if other is None else torch.nn.functional.normalize(v - token_direction(other), dim=0)
''',
    "means": '''
def means(texts, places):
    """For each place: its mean at position 0, and its mean over all other positions."""
    runs = [activations(encode(t), places) for t in texts]
    first = {p: torch.stack([r[p][0, 0] for r in runs]).mean(0) for p in places}
    rest = {p: torch.cat([r[p][0, 1:] for r in runs]).mean(0) for p in places}
    return first, rest
''',
    "draw": '''
def draw(texts, seed):
    """One of the texts that have at least as many tokens as the prompt."""
    long = [t for t in texts if encode(t).shape[1] >= tokens.shape[1]]
    return encode(random.Random(seed).choice(long))
''',
    "edit": '''
def edit(at, change, strength=1.0):
    """A hook that changes x[at] and leaves the rest as it is."""
    def changed(x, hook=None):
        new = x.clone()
        new[at] = change(x[at]) if strength == 1.0 else x[at] + strength * (change(x[at]) - x[at])
        return new
    return changed
''',
    "keep": '''
kept = {}
def keep(place):
    """A hook that keeps what is at a place."""
    def remember(x, hook=None):
        kept[place] = x
        return x
    return remember
''',
    "reading": '''
def reading(source, change):
    """A hook that changes x by what was at `source` before it: change(x, source's x)."""
    return lambda x, hook=None: change(x, kept[source])
''',
    "mid": '''
def mid(change):
    """A change of the residual stream before a block's MLP, made by what the attention adds to it."""
    def added(x, before):
        wanted = change(before + x)
        return torch.where(wanted == before + x, x, wanted - before)
    return added
''',
    "plus": '''
def plus(weight, rows=slice(None), columns=slice(None), strength=1.0):
    """What adding `weight` (a matrix in factors) to rows and columns of W [d_in, d_out] does to x = read W."""
    def change(x, read):
        new, added = x.flatten(2).clone(), read.flatten(2)[..., rows]
        for factor in weight:
            added = added @ factor.to(x)
        new[..., columns] += strength * added
        return new.view_as(x)
    return change
''',
    "turn": '''
def turn(step):
    """x + step, rescaled to the length of x."""
    def change(x):
        new = x + step.to(x)
        return new * (x.norm(dim=-1, keepdim=True) / new.norm(dim=-1, keepdim=True))
    return change
''',
    "without": '''
def without(v):
    """x without its part along the unit vector v."""
    return lambda x: x - (x @ v.to(x))[..., None] * v.to(x)
''',
    "swap": '''
def swap(basis, there):
    """x with its coordinates in the rows of an orthonormal basis taken from elsewhere."""
    return lambda x: x + (there - x) @ basis.to(x).T @ basis.to(x)
''',
    "cut": '''
def cut(key):
    """A pattern's rows without one key; the others get what sums to what the row summed to."""
    def change(x):
        new = x.clone()
        new[..., key] = 0
        left = new.sum(-1, keepdim=True)
        return torch.where(left > 0, new * (x.sum(-1, keepdim=True) / left), new)
    return change
''',
}


def needed(code: str, known: Mapping[str, str]) -> list[str]:
    """The functions among `known` that a program calls, and that those call, in the order of `known`."""
    used, found = _names(code), set[str]()
    while fresh := (used & known.keys()) - found:
        found |= fresh
        used |= set[str]().union(*(_names(known[name]) for name in fresh))
    return [known[name] for name in known if name in found]


def imports(code: str) -> list[str]:
    """The import lines that a program needs."""
    used = _names(code)
    groups = [[line for name, line in group.items() if name in used] for group in (_STANDARD, _OTHERS)]
    return [line for group in groups if group for line in (*group, "")]


def _names(code: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
