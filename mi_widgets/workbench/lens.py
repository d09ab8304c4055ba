"""LensView: what each layer would say next at each position, without and with an edit, and what changes when a reading
is taken away."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from threading import Event
from typing import Any

import numpy as np

from ..direction import Direction
from ..grid import Grid
from ..intervention import Recipe
from ..locate import Translator, lens_steps
from ..model.tokens import Prompt
from ..run import Texts
from ..selection import Selection
from ..site import Site
from ..steer import reading
from ..view import Choice, LensMap, Panel
from ..view.panel import colour_range
from .instrument import Instrument
from .live import Live, brief

_VALUES = (("prob", "Probability"), ("rank", "Rank"), ("kl", "KL from the output"))
_SIDES = (("clean", "Clean"), ("edited", "Edited"), ("both", "Both"), ("difference", "Difference"))
_PANELS = {"clean": ("lens",), "edited": ("edited",), "both": ("lens", "edited"), "difference": ("difference",)}
_VALUE_HELP = {
    "prob": "How probable the token would be if the model ended after this layer.",
    "rank": "The token's place among all tokens if the model ended after this layer; 1 is the first.",
    "kl": "How far (Kullback-Leibler divergence) this layer is from what the model says in the end; 0: the same.",
    "logit_diff": "The lead of the answer over the foil if the model ended after this layer.",
}
_OF_A_TOKEN = ("prob", "rank")  # values that are of one token
_HINT = "each cell’s own"
_NO_RUN = "There is no run yet, so this is the clean one."
#: What a positive difference means, edited minus clean, by what is shown.
_GAINS = {
    "prob": "Positive: more probable in the edited run.",
    "rank": "Positive: farther from the first place in the edited run; negative: nearer.",
    "kl": "Positive: the layer says less of what its own run says in the end.",
    "logit_diff": "Positive: the edit moves the layer toward the answer.",
}
_OWN = " Each run's own first token is meant, not one and the same."


class Lens(Instrument):
    """The logit lens, layer × position; the last position is read first, then the others from the right.

    value: prob, rank, kl or logit_diff (of the view's answer and foil). target: the token whose probability or rank is
    shown, "" for each cell's own. side: clean, edited (under the last run's recipe), both, or the difference; before a
    run all are the clean one. translator: "plain", or the name of one that reads the layers.
    """

    name = "lens"
    at_once = True

    def __init__(
        self,
        view: Live,
        value: str = "prob",
        target: str | None = None,
        side: str = "clean",
        translator: Any = None,
    ) -> None:
        super().__init__(view)
        self.value, self.target, self.side = value, target or "", side
        self.translators = {"plain": None, **_offered(view, translator)}
        self.translator = translator if isinstance(translator, str) else "plain" if translator is None else "given"
        self._recipe: Recipe | None = None  # of the last run
        self._clean: tuple[Any, Grid] | None = None  # what was asked of the clean run, and what was read
        if self.translator not in self.translators:
            known = ", ".join(self.translators)
            raise ValueError(f"translator is one of {known} for {view.model.name}, not {self.translator!r:.60}")
        for choice in self.choices():
            choice.checked(choice.value)
        self._refuse(self.target)

    def choices(self) -> tuple[Choice, ...]:
        """What is shown, of which token, of which run, and through what it is read."""
        values = (*_VALUES, ("logit_diff", self.view.metric_name))
        translators = tuple((name, _TRANSLATORS[name]) for name in self.translators)
        return (
            Choice("value", "Show", self.value, values, _VALUE_HELP),
            *((Choice("target", "Follow", self.target, hint=_HINT),) if self.value in _OF_A_TOKEN else ()),
            Choice("side", "Run", self.side, _SIDES),
            *(
                (Choice("translator", "Lens", self.translator, translators, _TRANSLATOR_HELP),)
                if len(translators) > 1
                else ()
            ),
        )

    def choose(self, name: str, value: str) -> None:
        """Take an answer; a target of several tokens is refused with its pieces."""
        if name == "target":
            self._refuse(value)
        super().choose(name, value)

    def _refuse(self, target: str) -> None:
        if target:
            self.view.model.single(target)
            self.view.base.refuse_unspaced(target)

    def after_run(self, recipe: Recipe) -> None:
        """Read the edited run, where it is shown."""
        self._recipe = recipe
        if self.side != "clean":
            self.draw(anew=set(self.grids) != set(_PANELS[self.side]))

    @property
    def _edit(self) -> Recipe | None:
        """The last run's recipe, as long as its result is there."""
        return self._recipe if self.view.result else None

    # -- what is read -----------------------------------------------------------------------------------------------

    def maps(self, halt: Event) -> Iterator[tuple[str, Grid]]:
        """The clean run column by column; an edited one whole, with what it stands beside."""
        recipe = self._edit
        if recipe is None or self.side == "clean":
            yield from (("lens", grid) for grid in self._clean_steps(halt))
            return
        clean = None if self.side == "edited" else _last(self._clean_steps(halt))
        edited = _last(self._steps(halt, recipe))
        if edited is None or halt.is_set():
            return
        titled = replace(edited, title=f"After {brief(recipe)}: {edited.provenance['quantity']}")
        if self.side == "difference" and clean is not None:
            yield "difference", self._difference(clean, titled)
            return
        if clean is not None:
            yield "lens", clean
        yield "edited", titled

    def _clean_steps(self, halt: Event) -> Iterator[Grid]:
        """The clean run; read once for each question."""
        asked = self._asked
        if self._clean is not None and self._clean[0] == asked:
            yield self._clean[1]
            return
        for grid in self._steps(halt, None):
            if not np.ma.is_masked(grid.values):
                self._clean = asked, grid
            yield grid

    @property
    def _asked(self) -> Any:
        """All that a reading depends on."""
        view = self.view
        return (view.model.weights, view.base.ids.tolist(), self.value, self.target, self.translator, view.read)

    def _steps(self, halt: Event, recipe: Recipe | None) -> Iterator[Grid]:
        view, quantity = self.view, self.quantity
        answer, foil = view.read if self.value == "logit_diff" else (None, None)
        steps = lens_steps(
            view.model,
            view.text,
            value=self.value,
            target=self.target or None,
            recipe=recipe,
            translator=self.translators[self.translator],
            answer=answer,
            foil=foil,
            progress=self.tick("lens" if recipe is None else "edited lens"),
            stop=halt,
        )
        for grid in steps:
            yield replace(grid, provenance={**grid.provenance, "quantity": quantity})

    def _difference(self, clean: Grid, edited: Grid) -> Grid:
        """Edited minus clean; what is written and listed is the edited run's."""
        own = not self.target and self.value in _OF_A_TOKEN
        return replace(
            edited - clean,
            title=f"{edited.title}, minus the clean run",
            sign=_GAINS[self.value] + (_OWN if own else "") + " Written where the first token is another one.",
            toward=int(self.value == "logit_diff"),
            readings=edited.readings,
        )

    # -- how it is drawn --------------------------------------------------------------------------------------------

    @property
    def quantity(self) -> str:
        """What the number of a cell is."""
        target = f'"{self.target}"'
        return {
            "prob": f"probability of {target if self.target else 'the first token'}",
            "rank": f"rank of {target if self.target else 'the run’s own next token'}",
            "kl": "KL from the output",
            "logit_diff": self.view.metric_name,
        }[self.value]

    def panel(self, name: str, grid: Grid) -> Panel:
        """Two sides have one colour range; a difference is signed, and names the tokens that have changed."""
        panel = replace(super().panel(name, grid), quantity=_quantity(grid))
        if name == "difference":
            return self._signed(panel, grid)
        alike = [each for each in list(self.grids.values()) if _quantity(each) == panel.quantity]
        sides = [np.ma.filled(each.values, np.nan) for each in alike]
        least = panel.range[0] if panel.range else 0.0
        common = colour_range(np.concatenate(sides), panel.scale, panel.excluded, least)
        waiting = "" if self.side == "clean" or self._edit is not None else f" {_NO_RUN}"
        return replace(panel, range=common, sign=panel.sign + waiting)

    def _signed(self, panel: Panel, grid: Grid) -> Panel:
        signed = colour_range(panel.values, "signed", panel.excluded)
        quantity = f"{panel.quantity}, edited minus clean"
        panel = replace(panel, scale="signed", bright="high", range=signed, quantity=quantity)
        if panel.texts is None or grid.readings is None or self._clean is None or self._clean[1].readings is None:
            return panel
        same = grid.readings.ids[..., 0] == self._clean[1].readings.ids[..., 0]
        return replace(panel, texts=np.where(same, -1, panel.texts))

    # -- what is done to a reading ----------------------------------------------------------------------------------

    def edit(self, act: Mapping[str, Any], cells: Sequence[tuple[str, Site]]) -> Recipe:
        """Remove, add or swap what the cells read: each its own first token, as it is shown, or the act's."""
        own = {site: self._first(name, site) for name, site in reversed(cells)}
        sites = list(dict.fromkeys(site for _, site in cells))
        how, typed, translator = act["how"], act["token"], self.translators[self.translator]
        selection = Selection(tuple(sites), self.view.selection.provenance)
        first = [own[site] for site in sites]
        if how == "swap":
            if not typed:
                raise ValueError("a swap needs the token that comes in: type it, with its leading space if it has one")
            return reading(self.view.model, selection, first, how, typed, translator=translator)
        strength = act["strength"] if how == "add" else None
        return reading(self.view.model, selection, typed or first, how, strength=strength, translator=translator)

    def _first(self, panel: str, site: Site) -> int:
        """The id of the token that a cell reads first."""
        grid = self.grids[panel]
        cell = grid.index(site)
        if grid.readings is None or np.ma.getmaskarray(grid.values)[cell]:
            raise ValueError(f"{site} is not read yet; view.wait() waits for it")
        return int(grid.readings.ids[cell][0])


_TRANSLATORS = {"plain": "Plain", "affine": "Affine", "given": "Yours"}
_TRANSLATOR_HELP = {
    "plain": "Each layer is read as if it were the last one.",
    "affine": "Each layer is first translated into the terms of the last one, by a map that was trained for it.",
    "given": "Each layer is first translated into the terms of the last one, by the translator that you gave.",
}


def _offered(view: Live, translator: Any) -> dict[str, Any]:
    """The translators there are: the package's own for these weights, and the one that was given."""
    affine = Translator.default(view.model)
    own = {} if affine is None else {"affine": affine}
    return own if translator is None or isinstance(translator, str) else {**own, "given": translator}


def _last(grids: Iterator[Grid]) -> Grid | None:
    found = deque(grids, maxlen=1)
    return found[0] if found else None


def _quantity(grid: Grid) -> str:
    """What the number of a cell is, of a map or of the difference of two."""
    source = grid.provenance.get("first", grid.provenance)
    return str(source["quantity"])


class LensView(Live, LensMap):
    """The logit lens of a prompt, layer × position. Picked cells are residual vectors after that block.

    The last position is read first, then the others from the right.
    value: "prob", "rank" (1 is the first choice), "kl" (nats, of the model's output from the layer's) or "logit_diff",
        the view's own metric.
    target: follow this one token instead of each cell's own favourite; for "rank", instead of the model's next one.
    side: "clean", "edited" (read again after each run, under its recipe), "both", or "difference", edited minus clean.
    translator: "plain", "affine" where the package has a lens for these weights (`mi.locate.Translator.default`), or
        one that reads the layers, as in `mi.locate.lens`.
    answer, foil, directions: as in AttentionView.
    `view.choose("value", "rank")` and so on change the first four.
    """

    def __init__(
        self,
        model: Any,
        prompt: Prompt,
        *,
        value: str = "prob",
        target: str | None = None,
        side: str = "clean",
        translator: Any = None,
        answer: Texts | None = None,
        foil: Texts | None = None,
        directions: Mapping[str, Direction] | None = None,
    ) -> None:
        self._asked = {"value": value, "target": target, "side": side, "translator": translator}
        super().__init__(model, prompt, answer, foil, directions, title="Logit lens: what each layer would say next")

    def _keywords(self) -> dict[str, Any]:
        usual = {"value": "prob", "target": None, "side": "clean", "translator": None}
        written = {name: value for name, value in self._asked.items() if isinstance(value, str)}
        return {**super()._keywords(), **{name: value for name, value in written.items() if value != usual[name]}}

    def _equip(self) -> tuple[Instrument, ...]:
        return (Lens(self, **self._asked),)
