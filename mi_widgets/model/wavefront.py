"""Wavefront: many edited runs of one recorded prompt as one growing, ragged batch that passes once through the layers.

A row is one edited run. It joins at the first thing it changes (what enters a block, the heads' outputs z, or what
comes after the attention), with the recorded values there, and holds only the positions from the first changed one on.
Rows are packed: a bench is as wide as the longest row, and several short ones share it. Each token attends to the
recorded keys before its own row's start and to its own row, which the mask says, so that one call of a block's own
attention serves rows of all starts. In the last block only the last position goes on. The parts that are called are the
model's own: ln1, attn, its o, ln1_post, ln2, mlp, ln2_post.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformer_lens.model_bridge.generalized_components.block import ParallelBlockBridge

from .hooks import Change, Edit, attached
from .recording import Prefix, Recording

if TYPE_CHECKING:
    from .gate import Model

Plan = Sequence[Edit]
_TOP, _HEADS, _MIDDLE = range(3)  # where in a block a row joins: before the attention, at z, after the attention
_BEFORE = {"hook_resid_pre", "hook_q", "hook_k", "hook_v", "hook_pattern"}


def entrance(edit: Edit) -> tuple[int, int]:
    """Where a row with this edit has to have joined: (layer, place in the block)."""
    point = edit.hook.rpartition(".")[2]
    if edit.layer < 0:
        return 0, _TOP
    if point == "hook_resid_post":
        return edit.layer + 1, _TOP
    if point == "hook_z":
        return edit.layer, _HEADS
    return edit.layer, _TOP if point in _BEFORE else _MIDDLE


@dataclass(frozen=True)
class _Seat:
    """Where a row sits: on which bench, from which column on; `start` is the position of its first token."""

    bench: int
    column: int
    start: int
    length: int

    @property
    def place(self) -> tuple[slice, slice]:
        """Its part of a tensor [bench, column, ...], as a batch of one."""
        return slice(self.bench, self.bench + 1), slice(self.column, self.column + self.length)


class Wavefront:
    """Some plans on their way over a recording; `starts`: the first position that each of them changes."""

    def __init__(self, model: Model, base: Recording, plans: Sequence[Plan], starts: Sequence[int]) -> None:
        assert base.left is not None
        self.model, self.base, self.plans = model, base, plans
        self.starts = list(starts)
        self.prefix, self.width = max(starts), base.length - min(starts)
        self.x = self.out = base.left[:0, : self.width]
        self.benches: list[tuple[int, ...]] = []  # the starts of the rows on each
        self.seats: dict[int, _Seat] = {}
        self.positions = base.ids[:, :0]  # of the tokens on them, [bench, column]; 0 where nobody sits
        self.joining: dict[tuple[int, int], list[int]] = defaultdict(list)
        self.own: dict[str, dict[int, list[Change]]] = defaultdict(lambda: defaultdict(list))
        self.shared: dict[str, list[Change]] = defaultdict(list)
        self.masks: dict[int, torch.Tensor] = {}
        for number, plan in enumerate(plans):
            self.joining[min(map(entrance, plan))].append(number)
            for edit in plan:
                self.own[edit.hook][number].append(edit.change)
        for edit in base.edits:
            self.shared[edit.hook].append(edit.change)

    def run(self) -> torch.Tensor:
        """The residual stream [plan, d_model] after the last block, at the last position."""
        last = self.model.n_layers
        try:
            for layer in range(min(self.joining)[0], last):
                self.model.worker.check()
                self._enter(layer)
                self._attend(layer)
                if layer == last - 1:
                    self._keep_the_last_position()
                self._join_heads(layer)
                self._add_up(layer)
                self._join_middle(layer)
                self._feed(layer)
            self._enter(last)
        finally:
            self.base.clock.offset = 0
        ends = [self.seats[number] for number in range(len(self.plans))]
        return self.x[[seat.bench for seat in ends], [seat.column + seat.length - 1 for seat in ends]]

    # -- one block ------------------------------------------------------------------------------------------------

    def _enter(self, layer: int) -> None:
        """New rows join before a block; then what enters it is edited."""
        new = self.joining.get((layer, _TOP), [])
        if new:
            assert self.base.left is not None
            left = self.base.left if layer == self.model.n_layers else self.base.layers[layer].entered
            positions = self._sit(new)
            x = self._embedded(new, left[0][positions])
            self._join(self._edited(f"blocks.{layer - 1}.hook_resid_post", x, new, len(self.benches) - len(positions)))
        self.x = self._edited(f"blocks.{layer}.hook_resid_pre", self.x)

    def _embedded(self, new: Sequence[int], x: torch.Tensor) -> torch.Tensor:
        """What enters the first block in rows whose embedding is edited."""
        embedded = [number for number in new if any(edit.layer < 0 for edit in self.plans[number])]
        if not embedded:
            return x
        out, behind = x.clone(), len(self.benches) - len(x)
        for number in embedded:
            seat, changes = self.seats[number], self.own["hook_embed"][number]
            row = self.model.embed(self.base.ids, [*self.shared["hook_embed"], *changes])[0, seat.start :]
            out[seat.bench - behind, seat.place[1]] = row
        return out

    def _attend(self, layer: int) -> None:
        """The block's own attention, of every row to the recorded keys before its start and to itself."""
        if not self.benches:
            return
        block, kept = self.model.twin.blocks[layer], self.base.layers[layer]
        call = {name: self._arranged(value) for name, value in kept.call.items()}
        call["attention_mask"] = self._mask(kept.call["attention_mask"])
        call["layer_past" if "layer_past" in call else "past_key_values"] = Prefix(kept, self.prefix)
        with self._hooked(f"blocks.{layer}.attn."):
            out = block.attn(self._through(block, "ln1", self.x), **call)
        self.out = out[0] if isinstance(out, tuple) else out

    def _keep_the_last_position(self) -> None:
        """From here on each row is one token, the last, on a bench of its own."""
        ends = [(seat.bench, seat.column + seat.length - 1) for seat in self.seats.values()]
        benches, columns = ([end[i] for end in ends] for i in (0, 1))
        last = self.base.length - 1
        self.x, self.out = self.x[benches, columns][:, None], self.out[benches, columns][:, None]
        if not ends:
            self.x = self.out = self.x.reshape(0, 1, self.model.d_model)
        self.seats = {number: _Seat(bench, 0, last, 1) for bench, number in enumerate(self.seats)}
        self.benches, self.positions = [(last,)] * len(ends), self.base.ids.new_full((len(ends), 1), last)
        self.starts, self.width = [last] * len(self.plans), 1

    def _join_heads(self, layer: int) -> None:
        """New rows whose first edit is of z: no attention, only the output projection of the edited z."""
        new = self.joining.get((layer, _HEADS), [])
        if not new:
            return
        block, kept = self.model.twin.blocks[layer], self.base.layers[layer]
        positions = self._sit(new)
        z = kept.z[0][positions].unflatten(2, (self.model.n_heads, -1))
        z = self._edited(f"blocks.{layer}.attn.hook_z", z, new, len(self.benches) - len(positions))
        self._join(kept.pre[0][positions], block.attn.o(z.flatten(2)))

    def _add_up(self, layer: int) -> None:
        """From the attention's output to what is added to the residual stream."""
        if self.benches:
            out = self._through(self.model.twin.blocks[layer], "ln1_post", self.out)
            self.out = self._edited(f"blocks.{layer}.hook_attn_out", out)

    def _join_middle(self, layer: int) -> None:
        """New rows whose first edit comes after the attention."""
        new = self.joining.get((layer, _MIDDLE), [])
        if not new:
            return
        kept, positions = self.base.layers[layer], self._sit(new)
        out = kept.attn_out[0][positions]
        out = self._edited(f"blocks.{layer}.hook_attn_out", out, new, len(self.benches) - len(positions))
        self._join(kept.pre[0][positions], out)

    def _feed(self, layer: int) -> None:
        """From the attention's output to the block's end."""
        if not self.benches:
            return
        block, name = self.model.twin.blocks[layer], f"blocks.{layer}"
        mid = self._edited(f"{name}.hook_resid_mid", self.x + self.out)
        parallel = isinstance(block, ParallelBlockBridge)
        norm = "ln1" if parallel and "ln2" not in block.submodules else "ln2"
        with self._hooked(f"{name}.mlp."):
            out = block.mlp(self._through(block, norm, self.x if parallel else mid))
        out = self._through(block, "ln2_post", out[0] if isinstance(out, tuple) else out)
        added = mid + self._edited(f"{name}.hook_mlp_out", out)
        self.x = self._edited(f"{name}.hook_resid_post", added)

    @staticmethod
    def _through(block: Any, name: str, x: torch.Tensor) -> torch.Tensor:
        """Through one of the block's norms, if it has it: the module itself, whose insides nobody edits."""
        return getattr(block, name).original_component(x) if name in block.submodules else x

    # -- seats ----------------------------------------------------------------------------------------------------

    def _sit(self, new: Sequence[int]) -> torch.Tensor:
        """Seats for new rows on new benches, the longest first, each where least room is left; their positions."""
        benches: list[list[int]] = []
        room: dict[int, list[int]] = defaultdict(list)  # benches by the columns that are free
        for number in sorted(new, key=lambda number: self.starts[number]):
            start = self.starts[number]
            length = self.base.length - start
            free = min((columns for columns, with_it in room.items() if with_it and columns >= length), default=None)
            if free is None:
                benches.append([])
                bench, free = len(benches) - 1, self.width
            else:
                bench = room[free].pop()
            benches[bench].append(start)
            self.seats[number] = _Seat(len(self.benches) + bench, self.width - free, start, length)
            if free > length:
                room[free - length].append(bench)
        positions = torch.tensor([self._row(starts) for starts in benches], device=self.base.ids.device)
        self.positions = torch.cat([self.positions, positions]) if self.benches else positions
        self.benches += map(tuple, benches)
        return positions

    def _row(self, starts: Sequence[int]) -> list[int]:
        row = [position for start in starts for position in range(start, self.base.length)]
        return row + [0] * (self.width - len(row))

    def _join(self, x: torch.Tensor, out: torch.Tensor | None = None) -> None:
        """Take in rows with what they carry, and with their attention's output when they come after it."""
        if out is not None:
            self.out = torch.cat([self.out, out]) if len(self.x) else out
        self.x = torch.cat([self.x, x]) if len(self.x) else x

    def _arranged(self, value: Any) -> Any:
        """An attention's argument with a position axis, for the tokens as they sit."""
        if isinstance(value, tuple):
            return tuple(self._arranged(each) for each in value)
        if not isinstance(value, torch.Tensor) or value.ndim == 4:
            return value
        axis = 1 if value.ndim > 1 else 0
        if value.shape[axis] != self.base.length:
            return value
        return (value[0] if axis else value)[self.positions]

    def _mask(self, recorded: torch.Tensor) -> torch.Tensor:
        """The recorded mask [1, 1, query_pos, key_pos] for the tokens as they sit, [bench, 1, column, key].

        Keys are the recorded ones before the last start, and then the bench's own.
        """
        key = id(recorded)
        known = self.masks.get(key)
        have = 0 if known is None else len(known)
        if have < len(self.benches):
            made = {starts: self._bench_mask(recorded[0, 0], starts) for starts in set(self.benches[have:])}
            fresh = torch.stack([made[starts] for starts in self.benches[have:]])[:, None]
            known = self.masks[key] = fresh if known is None else torch.cat([known, fresh])
        assert known is not None
        return known

    def _bench_mask(self, mask: torch.Tensor, starts: tuple[int, ...]) -> torch.Tensor:
        shut = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
        out = mask.new_full((self.width, self.prefix + self.width), shut)
        column = 0
        for start in starts:
            rows = slice(column, column + self.base.length - start)
            own = slice(self.prefix + rows.start, self.prefix + rows.stop)
            out[rows, :start], out[rows, own] = mask[start:, :start], mask[start:, start:]
            column = rows.stop
        out[column:, self.prefix + column :] = mask[0, 0]  # nobody: looks at nobody, and is not looked at
        return out

    # -- edits ----------------------------------------------------------------------------------------------------

    def _edited(self, hook: str, x: torch.Tensor, new: Sequence[int] | None = None, behind: int = 0) -> torch.Tensor:
        """What a hook carries, [bench, column, ...], after the recording's edits and each row's own.

        new: only these rows, whose benches begin after the first `behind`, and only their own edits: recorded values
        have the recording's already.
        """
        shared = self.shared.get(hook, []) if new is None else []
        own = self.own.get(hook, {})
        rows = self.seats if new is None else new
        edited = [number for number in rows if shared or number in own]
        if not edited:
            return x
        out = x.clone()
        for number in edited:
            seat = self.seats[number]
            benches, columns = seat.place
            place = slice(benches.start - behind, benches.stop - behind), columns
            self.base.clock.offset = seat.start
            view = out[place]
            for change in (*shared, *own.get(number, ())):
                view = change(view)
            out[place] = view
        return out

    def _edited_pattern(self, hook: str, x: torch.Tensor) -> torch.Tensor:
        """The same of a pattern [bench, head, column, key]: each row sees its own, with all keys in their places."""
        shared, own = self.shared.get(hook, []), self.own.get(hook, {})
        out = x.clone()
        for number, seat in self.seats.items():
            if not shared and number not in own:
                continue
            (bench, columns), at = seat.place, self.prefix + seat.column
            before = out[bench, :, columns, : seat.start]
            view = torch.cat([before, out[bench, :, columns, at : at + seat.length]], dim=-1)
            self.base.clock.offset = seat.start
            for change in (*shared, *own.get(number, ())):
                view = change(view)
            out[bench, :, columns, : seat.start] = view[..., : seat.start]
            out[bench, :, columns, at : at + seat.length] = view[..., seat.start :]
        return out

    @contextmanager
    def _hooked(self, prefix: str) -> Iterator[None]:
        """Hooks for the edits inside one part of a block, for the length of its call."""
        names = [name for name in {**self.shared, **self.own} if name.startswith(prefix)]
        with attached(self.model.points, [(name, self._hook(name)) for name in names]):
            yield

    def _hook(self, name: str) -> Callable[..., torch.Tensor]:
        edit = self._edited_pattern if name.endswith("hook_pattern") else self._edited
        return lambda x, hook: edit(name, x)
