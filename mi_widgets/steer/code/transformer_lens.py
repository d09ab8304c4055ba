"""TransformerLens: programs in which a place is the name of a bridge's hook."""

from __future__ import annotations

from ...model import around, hook_name, weight_input
from ...site import Site
from .program import Program

_ENCODE = """
encode = bridge.to_tokens
"""
_ACTIVATIONS = '''
def activations(tokens, names):
    """What each hook carries in a run without edits."""
    return bridge.run_with_cache(tokens, names_filter=names)[1]
'''
_UNEMBEDDING = {
    "final_norm": "\nfinal_norm = bridge.ln_final\n",
    "unembedding": "\nunembedding = bridge.W_U.T  # [d_vocab, d_model]\n",
}


class TransformerLens(Program):
    """A recipe for `bridge.run_with_hooks`."""

    def helpers(self) -> dict[str, str]:
        """What the bridge does under another name."""
        return {"encode": _ENCODE, "activations": _ACTIVATIONS, **_UNEMBEDDING}

    def loading(self) -> list[str]:
        """The bridge."""
        dtype = "" if self.dtype == "float32" else f", dtype=torch.{self.dtype}"
        return [f"bridge = TransformerBridge.boot_transformers({self.folder()}{dtype})"]

    def place(self, site: Site) -> str:
        """The hook's name."""
        return repr(hook_name(site))

    def index(self, site: Site) -> str:
        """Heads have an axis of their own."""
        return _range(site.index) if site.kind == "neuron" else "" if site.index is None else str(site.index)

    def around(self, mid: Site) -> tuple[str, str]:
        """The block's own input, and the attention's output."""
        entered, added = around(hook_name(mid))
        return repr(entered), repr(added)

    def read_by(self, weight: Site) -> str:
        """The input of the matrix."""
        return repr(weight_input(weight))

    def columns(self, weight: Site, chosen: tuple[int, ...] | None) -> str:
        """Each matrix has a hook of its own."""
        return "" if chosen is None else str(list(chosen))

    def writers(self) -> list[str]:
        """What enters the first block, and what each attention and MLP adds."""
        parts = 'for n in range(bridge.cfg.n_layers) for part in ("attn", "mlp")'
        return [
            f'writers = ["blocks.0.hook_resid_pre", *(f"blocks.{{n}}.hook_{{part}}_out" {parts})]',
            "writers = [name for name in writers if name in bridge.hook_dict]",
        ]

    def run(self, hooks: bool) -> str:
        """With or without the hooks."""
        return "bridge.run_with_hooks(tokens, fwd_hooks=hooks)" if hooks else "bridge(tokens)"

    def tops(self, logits: str) -> str:
        """As the bridge writes tokens."""
        return f"bridge.to_string({logits}.topk(5).indices[:, None])"

    def ids(self, texts: list[str]) -> str:
        """By the bridge."""
        return f"[bridge.to_single_token(t) for t in {texts!r}]"


def _range(index: int | None) -> str:
    assert index is not None
    return f"{index}:{index + 1}"
