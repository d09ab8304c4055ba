"""HuggingFace: programs of plain PyTorch hooks, in which a place is a module's path and what goes "in" or comes "out".

Heads and neurons are columns there: of what the attention's last matrix reads, of what makes queries, keys and values,
of what the MLP's last matrix reads. Attention patterns pass through no module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from ...intervention import Recipe
from ...model import Addresses, Model, around, hook_name, place, writers
from ...site import Site
from .program import Program

_ENCODE = '''
def encode(text):
    """Token ids [1, pos]."""
    return tokenizer({prefix}text, add_special_tokens=False, return_tensors="pt").input_ids
'''
_ENCODE_IDS = '''
def encode(ids):
    """Token ids [1, pos]: the tokenizer alone would give others."""
    return torch.tensor([ids])
'''
_RUN = '''
def run(tokens, hooks=()):
    """Logits, with what goes into ("in") or comes out of ("out") modules changed."""
    handles = []
    for (path, side), change in hooks:
        def before(module, args, change=change):
            return (change(args[0]), *args[1:])
        def behind(module, args, out, change=change):
            return (change(out[0]), *out[1:]) if isinstance(out, tuple) else change(out)
        module = model.get_submodule(path)
        handles += [module.register_forward_pre_hook(before) if side == "in" else module.register_forward_hook(behind)]
    try:
        return model(tokens, use_cache=False).logits
    finally:
        for handle in handles:
            handle.remove()
'''
_UNEMBEDDING = """
unembedding = model.get_output_embeddings().weight
"""
_ACTIVATIONS = '''
def activations(tokens, places):
    """What is at each place, (a module's path, "in" or "out"), in a run without edits."""
    seen = {}
    run(tokens, [(place, lambda x, place=place: seen.setdefault(place, x)) for place in places])
    return seen
'''


class HuggingFace(Program):
    """A recipe for forward hooks of modules."""

    def __init__(
        self,
        recipe: Recipe,
        prompt: str | Sequence[int] | None,
        vectors: str | Path | None,
        model: Model,
        features: str | Path | None = None,
    ) -> None:
        super().__init__(recipe, prompt, vectors, model, features)
        self.model, self._addresses = model, Addresses(model)
        for step in self.steps:
            if step.site.part == "pattern":
                raise ValueError(
                    f"{step}: attention patterns pass through no module of a Hugging Face model, so a hook cannot edit "
                    "them; flavour='transformer_lens' writes this step"
                )
        self.prefix = self._prefix()
        if self.prefix is None and isinstance(self.prompt, str):
            self.prompt = model.ids(self.prompt)[0].tolist()

    def _prefix(self) -> str | None:
        """What the tokenizer needs before a text to give the model's ids; None where nothing makes it give them."""
        texts = [t for d in self.directions for t in (*d.positive, *d.negative)]
        texts += [t for step in self.steps if step.reference for t in step.reference.texts]
        texts += [text for text in (self.prompt, *(step.prompt for step in self.steps)) if isinstance(text, str)]
        ids = {text: self.model.ids(text)[0].tolist() for text in texts}
        tokenizer = self.model.tokenizer
        for prefix in (tokenizer.bos_token or "", ""):
            if all(tokenizer(prefix + t, add_special_tokens=False)["input_ids"] == ids[t] for t in texts):
                return prefix
        return None

    def helpers(self) -> dict[str, str]:
        """What a bridge does elsewhere."""
        before = f"{self.prefix!r} + " if self.prefix else ""
        encode = _ENCODE_IDS if self.prefix is None else _ENCODE.format(prefix=before)
        norm, _ = place(self.model, "ln_final.hook_out")
        final_norm = f"\nfinal_norm = model.get_submodule({norm!r})\n"
        known = {"encode": encode, "run": _RUN, "activations": _ACTIVATIONS}
        return {**known, "final_norm": final_norm, "unembedding": _UNEMBEDDING}

    def literal(self, text: str) -> str:
        """The text, or its ids where the tokenizer would give others."""
        return repr(text if self.prefix is not None else self.model.ids(text)[0].tolist())

    def loading(self) -> list[str]:
        """The model with eager attention, which is the package's own, and its tokenizer."""
        settings = f'dtype=torch.{self.dtype}, attn_implementation="eager"'
        return [
            f"tokenizer = AutoTokenizer.from_pretrained({self.folder()})",
            f"model = AutoModelForCausalLM.from_pretrained({self.folder()}, {settings})",
        ]

    def place(self, site: Site) -> str:
        """The module's path, and its side."""
        return repr(self._addresses.place(site))

    def index(self, site: Site) -> str:
        """A head's or neuron's columns."""
        columns = None if site.index is None else self._addresses.columns(site)
        return "" if columns is None else _slice(columns)

    def around(self, mid: Site) -> tuple[str, str]:
        """The block itself, and what its attention adds."""
        entered, added = around(hook_name(mid))
        return repr(place(self.model, entered)), repr(place(self.model, added))

    def read_by(self, weight: Site) -> str:
        """The same module's other side."""
        path, _ = self._addresses.place(weight)
        return repr((path, "in"))

    def columns(self, weight: Site, chosen: tuple[int, ...] | None) -> str:
        """Where the matrix's columns are in a joint projection, too."""
        own = self._addresses.columns(weight)
        if chosen is None:
            return "" if own is None else f"np.r_[{', '.join(_runs(own))}]"
        return str([n if own is None else own[n] for n in chosen])

    def writers(self) -> list[str]:
        """What enters the first block, and what each attention and MLP adds."""
        layers: dict[str, list[int]] = {}
        for name, layer in writers(self.model):
            path, side = place(self.model, name)
            layers.setdefault(repr((path.replace(f".{layer}.", ".{n}."), side)), []).append(layer)
        return ["writers = [", *(f"    {_each(spot, own)}," for spot, own in layers.items()), "]"]

    def run(self, hooks: bool) -> str:
        """With or without the hooks."""
        return "run(tokens, hooks)" if hooks else "run(tokens)"

    def tops(self, logits: str) -> str:
        """Decoded one by one."""
        return f"[tokenizer.decode(i) for i in {logits}.topk(5).indices]"

    def ids(self, texts: list[str]) -> str:
        """By the tokenizer."""
        return f"[tokenizer(t, add_special_tokens=False).input_ids[0] for t in {texts!r}]"


def _each(place: str, layers: list[int]) -> str:
    """A place in each of some layers."""
    if "{n}" not in place:
        return place
    numbers = f"range({len(layers)})" if layers == list(range(len(layers))) else str(layers)
    return f"*((f{place[1:-1]}) for n in {numbers})"


def _slice(columns: Sequence[int]) -> str:
    return f"{columns[0]}:{columns[-1] + 1}"


def _runs(columns: Sequence[int]) -> Iterator[str]:
    """Neighbours as slices."""
    for _, run in groupby(enumerate(columns), key=lambda pair: pair[1] - pair[0]):
        yield _slice([column for _, column in run])
