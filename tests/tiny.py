"""Tiny random models with a real tokenizer, and the same models driven by plain PyTorch hooks: the oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

LAYERS, HEADS, KV_HEADS, D_HEAD, D_MLP, N_CTX = 3, 4, 2, 6, 28, 64  # no two alike, and no prompt of these lengths

CLEAN = "When Mary and John went to the store, John gave a drink to"
CORRUPT = "When Mary and John went to the store, Mary gave a drink to"
OTHERS = (
    "The capital of France is the city of",
    "Water boils faster in a small pot with a lid.",
    "Anna and Peter sat in the old garden and the dog slept",
)
_TEXTS = (
    CLEAN,
    CORRUPT,
    *OTHERS,
    "Paris and Rome and Berlin are cities",
    "a bad day, a good day, a sad day, a happy day",
)

_CHAT = "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}<s>assistant:"


@cache
def trained() -> Tokenizer:
    """A byte-level BPE that knows every byte, two special tokens and the words of the sentences above."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=440, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    return tokenizer


def tokenizer() -> PreTrainedTokenizerFast:
    """A new wrapper each time, so that nobody's settings reach anybody else."""
    backend = Tokenizer.from_str(trained().to_str())
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", chat_template=_CHAT)


def _grouped(**more: Any) -> dict[str, Any]:
    return {
        "hidden_size": 20,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": D_HEAD,
        "intermediate_size": D_MLP,
        "max_position_embeddings": N_CTX,
        "initializer_range": 0.5,
        "tie_word_embeddings": False,
        **more,
    }


_WIDTH = HEADS * D_HEAD  # where a model's width is its heads' together
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2": {
        "model_type": "gpt2", "n_embd": _WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_inner": D_MLP,
        "n_positions": N_CTX, "initializer_range": 0.5,
    },
    "llama": {"model_type": "llama", **_grouped()},
    "gemma2": {
        "model_type": "gemma2",
        **_grouped(sliding_window=5, attn_logit_softcapping=4.0, final_logit_softcapping=6.0, query_pre_attn_scalar=6),
    },
    "qwen3": {"model_type": "qwen3", **_grouped()},
    "pythia": {
        "model_type": "gpt_neox", "hidden_size": _WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "intermediate_size": D_MLP, "max_position_embeddings": N_CTX, "initializer_range": 0.5, "rotary_pct": 0.34,
        "use_parallel_residual": True,
    },
}  # fmt: skip
SHAPES = tuple(CONFIGS)


def hugging_face(shape: str, attention: str | None = None, **changes: Any) -> nn.Module:
    """A random Hugging Face model, the same weights each time, with the attention that its class prefers."""
    settings = {**CONFIGS[shape], **changes}
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    config.vocab_size = trained().get_vocab_size()
    config.bos_token_id, config.eos_token_id, config.pad_token_id = 0, 1, None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()
        _shake_norms(model)
    model.config.architectures = [type(model).__name__]
    return model


def _shake_norms(model: nn.Module) -> None:
    """Norm weights and biases that are not 1 and 0, so that leaving one out shows."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))


Change = Callable[[torch.Tensor], torch.Tensor]
Place = tuple[nn.Module, str]  # a module, and "in" or "out"


@dataclass(frozen=True)
class Plain:
    """A Hugging Face model, its parts by name, and forward passes under plain PyTorch hooks."""

    hf: nn.Module
    blocks: Sequence[nn.Module]
    mix: str  # the projection that reads all heads' outputs side by side
    ffn_path: str
    norm: nn.Module
    unembed: nn.Module
    cap: float | None = None

    @classmethod
    def of(cls, hf: nn.Module) -> Plain:
        kind = hf.config.model_type
        if kind == "gpt2":
            return cls(hf, hf.transformer.h, "attn.c_proj", "mlp", hf.transformer.ln_f, hf.lm_head)
        if kind == "gpt_neox":
            return cls(hf, hf.gpt_neox.layers, "attention.dense", "mlp", hf.gpt_neox.final_layer_norm, hf.lm_head)
        ffn = "post_feedforward_layernorm" if kind == "gemma2" else "mlp"
        cap = getattr(hf.config, "final_logit_softcapping", None)
        return cls(hf, hf.model.layers, "self_attn.o_proj", ffn, hf.model.norm, hf.lm_head, cap)

    def z(self, layer: int) -> Place:
        return self.blocks[layer].get_submodule(self.mix), "in"

    def ffn(self, layer: int) -> Place:
        return self.blocks[layer].get_submodule(self.ffn_path), "out"

    def neurons(self, layer: int) -> Place:
        """What the MLP's last weight reads."""
        names = {"gpt2": "mlp.c_proj", "gpt_neox": "mlp.dense_4h_to_h"}
        return self.blocks[layer].get_submodule(names.get(self.hf.config.model_type, "mlp.down_proj")), "in"

    def qkv(self, layer: int, part: str) -> Place:
        """What makes queries, keys or values; one weight for all three in gpt2 and gpt_neox."""
        names = {"gpt2": "attn.c_attn", "gpt_neox": "attention.query_key_value"}
        return self.blocks[layer].get_submodule(names.get(self.hf.config.model_type, f"self_attn.{part}_proj")), "out"

    def columns(self, objects: str, head: int) -> slice:
        """A head's columns in what its place carries: for q, k, v of gpt2 beside, of gpt_neox among each other."""
        kind, part = self.hf.config.model_type, "qkv".find(objects)
        first = head * D_HEAD
        if part >= 0 and kind == "gpt2":
            first += part * HEADS * D_HEAD
        if part >= 0 and kind == "gpt_neox":
            first = (3 * head + part) * D_HEAD
        return slice(first, first + D_HEAD)

    def pattern(self, ids: torch.Tensor, layer: int) -> torch.Tensor:
        """Attention weights [1, head, query_pos, key_pos]."""
        with torch.no_grad():
            return self.hf(ids.reshape(1, -1), output_attentions=True).attentions[layer]

    def values(self, ids: torch.Tensor, layer: int) -> torch.Tensor:
        """Values [1, head, key_pos, d_head], one for each query head."""
        seen = self.see(ids, self.qkv(layer, "v"))
        kv_heads = getattr(self.hf.config, "num_key_value_heads", None) or HEADS
        heads = [seen[..., self.columns("v", head * kv_heads // HEADS)] for head in range(HEADS)]
        return torch.stack(heads, dim=1)

    def mid(self, layer: int) -> Place:
        """What enters the norm before the MLP; to read, not to edit."""
        names = {"gpt2": "ln_2", "gemma2": "pre_feedforward_layernorm"}
        return self.blocks[layer].get_submodule(names.get(self.hf.config.model_type, "post_attention_layernorm")), "in"

    def attention(self, layer: int) -> Place:
        """What the attention adds to the residual stream."""
        names = {"gpt2": "attn", "gemma2": "post_attention_layernorm"}
        return self.blocks[layer].get_submodule(names.get(self.hf.config.model_type, "self_attn")), "out"

    def residual(self, ids: torch.Tensor, layer: int, part: str) -> torch.Tensor:
        """The residual stream [1, pos, d_model] before, in the middle of or after a block."""
        return self.see(ids, getattr(self, part)(layer))

    def with_residual(
        self, ids: torch.Tensor, layer: int, part: str, position: int, new: torch.Tensor, zero: bool
    ) -> torch.Tensor:
        """Logits with the stream at one position set to `new`'s, or zero; in the middle by what the attention adds."""
        where = slice(position, position + 1)
        value = 0 * new[:, where] if zero else new[:, where]
        if part != "mid":
            return self.logits(ids, (getattr(self, part)(layer), put(value, where)))
        before = self.see(ids, self.pre(layer))[:, where]
        return self.logits(ids, (self.attention(layer), put(value - before, where)))

    def pre(self, layer: int) -> Place:
        return self.blocks[layer], "in"

    def post(self, layer: int) -> Place:
        return self.blocks[layer], "out"

    def logits(self, ids: torch.Tensor, *edits: tuple[Place, Change]) -> torch.Tensor:
        """Logits [pos, d_vocab] with each change made at its place."""
        with torch.no_grad(), ExitStack() as stack:
            for place, change in edits:
                stack.enter_context(_changed(place, change))
            return self.hf(ids.reshape(1, -1)).logits[0]

    def see(self, ids: torch.Tensor, place: Place) -> torch.Tensor:
        """What a place carries, [1, pos, width]."""
        seen: list[torch.Tensor] = []
        self.logits(ids, (place, lambda x: seen.append(x.clone()) or x))  # type: ignore[func-returns-value]
        return seen[0]

    def read(self, residual: torch.Tensor) -> torch.Tensor:
        """Logits of residual vectors, as if the model stopped there."""
        with torch.no_grad():
            logits = self.unembed(self.norm(residual))
        return logits if not self.cap else self.cap * torch.tanh(logits / self.cap)


@contextmanager
def _changed(place: Place, change: Change) -> Iterator[None]:
    module, side = place
    if side == "in":
        handle = module.register_forward_pre_hook(lambda _, args: (change(args[0]), *args[1:]))
    else:
        handle = module.register_forward_hook(lambda _, __, out: _first(out, change))
    try:
        yield
    finally:
        handle.remove()


def _first(out: Any, change: Change) -> Any:
    return (change(out[0]), *out[1:]) if isinstance(out, tuple) else change(out)


def put(new: Any, pos: slice = slice(None), head: int | None = None) -> Change:
    """A change that puts `new` (a number, a tensor that broadcasts, or a function of what is there) at pos and head."""

    def change(x: torch.Tensor) -> torch.Tensor:
        out = x.clone()
        view = out if head is None else out.unflatten(-1, (HEADS, D_HEAD))[:, :, head]
        view[:, pos] = new(view[:, pos]) if callable(new) else new
        return out

    return change


def one_head(z: torch.Tensor, head: int) -> torch.Tensor:
    """One head's part of all heads' outputs side by side."""
    return z.unflatten(-1, (HEADS, D_HEAD))[..., head, :]
