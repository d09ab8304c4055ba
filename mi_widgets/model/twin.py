"""Twin: a second bridge over the same storage.

The user's model and bridge are never run, hooked or changed by this package. A twin is a bridge booted over a fresh
skeleton of the same architecture, whose parameters and buffers are the original's own tensors: no copy of the weights,
none of the user's hooks, and an edit in place of a weight is seen at once.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from transformer_lens.model_bridge import TransformerBridge

_PROBE = 4  # tokens in the self-test


def original(source: Any) -> nn.Module:
    """The Hugging Face module of a bridge, or the module itself."""
    return source.original_model if isinstance(source, TransformerBridge) else source


def boot(source: Any, tokenizer: Any, name: str, trainable: bool = False) -> TransformerBridge:
    """A bridge over `source`'s storage; refuses, in words, what it cannot mirror exactly.

    trainable: its parameters ask for gradients where the source's do (for a bridge that is handed to the user).
    Layers that a bridge makes anew (queries, keys and values apart) begin with random numbers: not the user's.
    """
    with torch.random.fork_rng(devices=[]):
        return _boot(source, tokenizer, name, trainable)


def _boot(source: Any, tokenizer: Any, name: str, trainable: bool) -> TransformerBridge:
    fresh = skeleton(source)
    _refuse_strangers(source, fresh)
    share(named_tensors(source), fresh, trainable)
    fresh.tie_weights()
    fresh.eval()
    probe = torch.arange(_PROBE, device=next(fresh.parameters()).device)[None]
    with torch.no_grad():
        expected = fresh(probe).logits
        bridge = TransformerBridge.boot_transformers(name, hf_model=fresh, tokenizer=_own(tokenizer))
        found = bridge(probe)
    gap = (expected.float() - found.float()).abs().max().item()
    if not gap <= bound(expected.dtype) * max(1.0, expected.float().abs().max().item()):
        raise RuntimeError(f"the twin of {name} gives other logits than the model (off by {gap:.3g}); please report it")
    if _is_bridged(source):  # it runs on tensors that its own bridge has made, such as queries, keys and values apart
        share(dict(_tensors(source)), bridge.original_model, trainable)
    return bridge


def bound(dtype: torch.dtype) -> float:
    """How far two models over the same weights may lie apart, in units of the largest logit if that is above 1."""
    return 1e-3 if dtype == torch.float32 else 0.25


def _own(tokenizer: Any) -> Any:
    """A copy that already puts one BOS first.

    A bridge sets missing special tokens on the tokenizer it is given, and one without a leading BOS it loads again, by
    name and without what was added to it since.
    """
    own = copy.deepcopy(tokenizer)
    own.init_kwargs = {"name_or_path": "", **own.init_kwargs, "add_bos_token": own.bos_token is not None}
    if own.bos_token is not None and not getattr(own, "add_bos_token", False):
        with contextlib.suppress(ValueError):  # a BOS that no post-processor can write; the bridge prepends it by hand
            own.add_bos_token = True
    return own


def skeleton(source: Any, attention: str = "eager") -> Any:
    """The same architecture without weights, by default with eager attention (the bridge's own)."""
    config = copy.deepcopy(source.config)
    if hasattr(config, "quantization_config"):
        raise ValueError("the model's weights are quantized in memory; load them dequantized, for instance in float32")
    config.architectures = config.architectures or [type(source).__name__]
    config._attn_implementation = attention
    return blank(type(source), config)


def blank(kind: type[nn.Module], config: Any) -> Any:
    """A model of a class and config without weights."""
    with torch.device("meta"):
        return kind(config)


def _refuse_strangers(source: nn.Module, skeleton: nn.Module) -> None:
    """Refuse a model that has other tensors than its class; a bridge's own additions are no strangers."""
    tensors, wanted = named_tensors(source), {name for name, _ in _tensors(skeleton)}
    missing, spare = wanted - set(tensors), set(tensors) - wanted
    if missing or (spare and not _is_bridged(source)):
        stranger = sorted(missing or spare)[0]
        raise ValueError(
            f"the model is not a plain {type(source).__name__}: {stranger!r} is "
            f"{'missing' if missing else 'extra'}. Merge adapters first (model.merge_and_unload())"
        )


def share(tensors: dict[str, torch.Tensor], target: nn.Module, trainable: bool = False) -> None:
    """Point every parameter and buffer of the target at the storage of the tensor of its name; tied ones stay one."""
    made: dict[int, nn.Parameter] = {}
    for name, _ in _tensors(target):
        path, _, leaf = name.rpartition(".")
        module, tensor = target.get_submodule(path), tensors[name]
        if leaf in module._parameters:
            own = nn.Parameter(tensor.detach(), trainable and tensor.requires_grad)
            module._parameters[leaf] = made.setdefault(id(tensor), own)
        else:
            module._buffers[leaf] = tensor


def _tensors(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]


def _is_bridged(module: nn.Module) -> bool:
    return any("_original_component." in name for name, _ in module.named_parameters())


def named_tensors(source: nn.Module) -> dict[str, torch.Tensor]:
    """Every parameter and buffer by its Hugging Face name, also of a module that a bridge has rebuilt."""
    return {name.replace("_original_component.", ""): tensor for name, tensor in _tensors(source)}


def copied(source: nn.Module, bridge: TransformerBridge) -> list[torch.Tensor]:
    """The source's tensors of which a twin keeps copies, which an edit in place does not reach.

    So it is with joint query-key-value weights, which a bridge takes apart: with them, all of their module's tensors.
    """
    shared = {tensor.data_ptr() for _, tensor in _tensors(source)}
    own = [name for name, p in bridge.original_model.named_parameters() if p.data_ptr() not in shared]
    homes = {_home(name.replace("_original_component.", "")) for name in own}
    tensors = named_tensors(source)
    return [tensor for name, tensor in tensors.items() if _home(name) in homes] or (own and list(tensors.values()))


def _home(name: str) -> str:
    """The module that holds the module of a tensor: "h.0.attn" of "h.0.attn.c_attn.weight"."""
    return name.rsplit(".", 2)[0]


def watch(source: nn.Module) -> list[tuple[Any, ...]]:
    """What a twin depends on: identity, storage, dtype and device of every tensor, module after module."""
    return [
        (id(t), t.data_ptr(), t.dtype, t.device)
        for module in _modules(source)
        for t in (*module._parameters.values(), *module._buffers.values())
        if t is not None
    ]


def parameters(source: nn.Module) -> list[nn.Parameter]:
    """What `source.parameters()` gives."""
    every = (p for module in _modules(source) for p in module._parameters.values() if p is not None)
    return list({id(p): p for p in every}.values())


def _modules(source: nn.Module) -> Iterator[nn.Module]:
    """What `source.modules()` gives. PyTorch makes a name for each, which on a bridge takes longer than a job may."""
    known, waiting = set[nn.Module](), [source]
    while waiting:
        module = waiting.pop()
        if module not in known:
            known.add(module)
            yield module
            waiting += [child for child in reversed(module._modules.values()) if child is not None]


def before_each_block(bridge: TransformerBridge, check: Callable[[], None]) -> None:
    """Call `check` before every block of every forward pass, for as long as the twin lives."""
    for block in getattr(bridge, "blocks", ()):
        block.register_forward_pre_hook(lambda module, args: check())
