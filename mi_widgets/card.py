"""Card: the evidence for an edit, as a value. Effect with its interval, controls, side effects, and a verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go


_NOISE = 1e-4  # what is smaller is rounding


@dataclass(frozen=True)
class Card:
    """What an edit did on data it was not chosen on.

    effect: mean change of the metric on the report split, edited minus unedited; higher supports the answer.
    ci: 95 % percentile interval of a bootstrap over groups, paired by item.
    controls: the same mean change for each control edit; `control` says what they are.
    advantage, advantage_ci: effect minus the mean control, paired by item; the verdict follows from its interval.
    side_effects: named numbers on neutral text.
    """

    title: str
    metric: str
    n: int
    groups: int
    effect: float
    ci: tuple[float, float]
    base: float
    control: str
    controls: tuple[float, ...]
    advantage: float
    advantage_ci: tuple[float, float]
    side_effects: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def beats(self) -> int:
        """How many controls move the metric less than the effect does, whichever way."""
        return sum(abs(self.effect) > abs(value) for value in self.controls)

    @property
    def verdict(self) -> str:
        """One sentence that follows from the interval of effect minus mean control."""
        low, high = self.advantage_ci
        size = f"{self.effect:+.2f} [{self.ci[0]:+.2f}, {self.ci[1]:+.2f}]"
        if max(map(abs, self.ci)) < _NOISE:
            return f"No effect shown: {self.metric} moves by less than {_NOISE:g}."
        if low <= 0 <= high:
            return f"No effect shown beyond the controls: {size} against a mean control of {self.mean_control:+.2f}."
        if self.effect * self.advantage < 0:
            return f"The edit moves {self.metric} by {size}, less than its controls do ({self.mean_control:+.2f})."
        if self.ci[0] <= 0 <= self.ci[1]:
            return f"No effect shown: {size}; its controls move {self.metric} by {self.mean_control:+.2f}."
        way = "raises" if self.effect > 0 else "lowers"
        return f"The edit {way} {self.metric} by {size}; it beats {self.beats} of {len(self.controls)} {self.control}."

    @property
    def mean_control(self) -> float:
        """The mean effect of the controls."""
        return sum(self.controls) / len(self.controls)

    def to_dict(self) -> dict[str, Any]:
        """The card as plain JSON data, verdict included."""
        return {**asdict(self), "beats": self.beats, "verdict": self.verdict}

    def __str__(self) -> str:
        rows = [
            ("metric", f"{self.metric}, {self.base:+.3f} before"),
            ("held-out items", f"{self.n} in {self.groups} groups"),
            ("effect", f"{self.effect:+.3f}   95 % interval [{self.ci[0]:+.3f}, {self.ci[1]:+.3f}]"),
            ("controls", f"{self.mean_control:+.3f} on average, {len(self.controls)} {self.control}"),
            ("effect − control", f"{self.advantage:+.3f}   [{self.advantage_ci[0]:+.3f}, {self.advantage_ci[1]:+.3f}]"),
            *((name, f"{value:.4f}") for name, value in self.side_effects.items()),
            ("weights", str(self.provenance.get("weights", ""))),
            ("note", str(self.provenance.get("note", ""))),
        ]
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {value}" for name, value in rows if value]
        return "\n".join([self.title, *lines, self.verdict])

    def figure(self) -> go.Figure:
        """Effect, interval and every control on one axis, as a plotly figure."""
        from .view.figure import of_card

        return of_card(self)

    def show(self) -> go.Figure:
        """The card as a figure, for the end of a cell."""
        return self.figure()
