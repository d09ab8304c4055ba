"""Figures: Grids and Cards as plotly charts, for papers and pages. They work offline and follow no host theme.

Token labels stand on numeric axes as escaped text, because plotly reads markup in labels and merges equal ones.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from ..grid import Axis, Grid
from . import ramp

if TYPE_CHECKING:
    from ..card import Card

_BLUE, _ORANGE, _GREY = "#2166ac", "#b35806", "#9a9a9a"
_SIGNED = [[0, _ORANGE], [0.5, "#f7f7f7"], [1, _BLUE]]
_MOST_TICKS, _MOST_ROWS = 48, 16
_ESTIMATED = "Framed cells are estimates, the others exact."
_COLLAPSED = "Crossed: the edit broke the model there."


def _escaped(text: str) -> str:
    """Text that plotly shows as it is: it reads tags, and of entities only those that stand for < > and &."""
    return html.escape(text, quote=False)


def of_grid(grid: Grid) -> go.Figure:
    """A heatmap of two axes (more are stacked on the rows), or a line over one."""
    return _line(grid) if len(grid.axes) == 1 else _heatmap(grid)


def _line(grid: Grid) -> go.Figure:
    axis = grid.axes[0]
    line = {"mode": "lines+markers", "line_color": _BLUE, "showlegend": False}
    figure = go.Figure(go.Scatter(x=axis.coordinates, y=_plain(grid.values), **line))
    figure.add_hline(y=0, line_color=_GREY, line_width=1)
    if grid.collapsed is not None:
        at = np.flatnonzero(grid.collapsed)
        _cross(figure, np.array(axis.coordinates)[at], np.nan_to_num(_plain(grid.values)[at]))
    natural = grid.provenance.get("natural")
    if natural is not None:
        words = f"natural strength {natural:.2f}"
        figure.add_vline(
            x=natural,
            line={"dash": "dash", "color": "#444444", "width": 1.5},
            annotation_text=words,
            annotation_position="bottom right",
        )
    figure.update_xaxes(title=axis.name)
    figure.update_yaxes(title=_escaped(grid.unit))
    return _framed(figure, grid)


def _heatmap(grid: Grid) -> go.Figure:
    rows, cols = grid.axes[0], grid.axes[-1]
    values = _plain(grid.values).reshape(-1, len(cols))
    most = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 1.0
    signed = {"z": values, "colorscale": _SIGNED, "reversescale": grid.toward < 0, "zmin": -most, "zmax": most}
    colours = signed if grid.toward else _sequential(values, most, ramp.of(grid.unit))
    figure = go.Figure(go.Heatmap(colorbar_title=_escaped(grid.unit), hoverongaps=False, **colours))
    if grid.estimated is not None:
        _frame(figure, grid.estimated.reshape(values.shape) & np.isfinite(values))
    if grid.collapsed is not None:
        crossed = np.nonzero(grid.collapsed.reshape(values.shape))
        _cross(figure, crossed[1], crossed[0])
    if _has_strokes(grid):
        _stroke(figure, cols, grid.provenance["natural"])
    named = _ticks(rows, _MOST_ROWS) if len(grid.axes) == 2 else {}
    figure.update_yaxes(title=rows.name, autorange="reversed", **named)
    figure.update_xaxes(title=cols.name, **_ticks(cols))
    return _framed(figure, grid)


def _sequential(values: np.ndarray, most: float, how: ramp.Ramp) -> dict[str, Any]:
    """Numbers and colours of a heatmap without a sign; by the logarithm, hovering still says the number itself."""
    scale = {"colorscale": "Cividis", "reversescale": how.bright == "low"}
    if how.spacing == "even":
        return {"z": values, **scale, "zmin": how.low, "zmax": most}
    tens = 10.0 ** np.arange(np.log10(most) + 1)
    return {
        "z": np.log10(values),
        **scale,
        "zmin": np.log10(how.low),
        "zmax": np.log10(most),
        "customdata": values,
        "hovertemplate": "x: %{x}<br>y: %{y}<br>z: %{customdata}<extra></extra>",
        "colorbar": {"tickvals": np.log10(tens), "ticktext": [f"{ten:,.0f}" for ten in tens]},
    }


def _frame(figure: go.Figure, cells: np.ndarray) -> None:
    """An open square around each of these cells."""
    rows, cols = np.nonzero(cells)
    marker = {"symbol": "square-open", "size": 7, "color": _GREY, "line": {"width": 1}}
    figure.add_scatter(x=cols, y=rows, mode="markers", marker=marker, hoverinfo="skip", showlegend=False)


def _cross(figure: go.Figure, x: np.ndarray, y: np.ndarray) -> None:
    """A cross at each of these places."""
    marker = {"symbol": "x-thin", "size": 11, "line": {"width": 2, "color": "#222222"}}
    figure.add_scatter(x=x, y=y, mode="markers", marker=marker, name="collapsed", hoverinfo="skip", showlegend=False)


def _has_strokes(grid: Grid) -> bool:
    """Whether each row has a natural strength of its own, and the columns are in order."""
    return isinstance(grid.provenance.get("natural"), list) and bool((np.diff(grid.axes[-1].coordinates) > 0).all())


def _stroke(figure: go.Figure, axis: Axis, naturals: Sequence[float]) -> None:
    """In each row, a stroke at its natural strength, where the columns reach as far."""
    steps = axis.coordinates
    rows = [row for row, natural in enumerate(naturals) if steps[0] <= natural <= steps[-1]]
    places = np.interp([naturals[row] for row in rows], steps, np.arange(len(axis)))
    marker = {"symbol": "line-ns", "size": 13, "line": {"width": 2, "color": "#444444"}}
    figure.add_scatter(x=places, y=rows, mode="markers", marker=marker, name="natural strength", hoverinfo="skip",
                       showlegend=False)  # fmt: skip


def _plain(values: np.ma.MaskedArray) -> np.ndarray:
    return np.ma.filled(values.astype(float), np.nan)


def _ticks(axis: Axis, most: int = _MOST_TICKS) -> dict[str, Any]:
    step = -(-len(axis) // most)
    places = list(range(0, len(axis), step))
    return {"tickvals": places, "ticktext": [_escaped(axis.labels[i]) or "∅" for i in places]}


def _framed(figure: go.Figure, grid: Grid) -> go.Figure:
    source = grid.provenance
    print_ = ", ".join(str(source[key]) for key in ("model", "weights") if source.get(key))
    flags = {_ESTIMATED: grid.estimated, _COLLAPSED: grid.collapsed}
    stroke = "Strokes: natural strength." if _has_strokes(grid) else ""
    said = [words for words, cells in flags.items() if cells is not None]
    parts = (grid.sign, *said, stroke, f"({print_})" if print_ else "")
    note = _escaped(" ".join(part for part in parts if part))
    figure.update_layout(
        title={"text": f"{_escaped(grid.title)}<br><sub>{note}</sub>", "x": 0.01, "xanchor": "left"},
        template="simple_white",
        margin={"t": 70, "l": 60, "r": 30, "b": 60},
    )
    return figure


def of_card(card: Card) -> go.Figure:
    """One axis: every control as a dot, the effect with its interval, and zero."""
    low, high = card.ci
    figure = go.Figure()
    figure.add_scatter(
        x=card.controls, y=["controls"] * len(card.controls), mode="markers", name=_escaped(card.control),
        marker={"color": _GREY, "size": 8, "opacity": 0.7},
    )  # fmt: skip
    figure.add_scatter(
        x=[card.effect], y=["this edit"], mode="markers", name="effect", marker={"color": _BLUE, "size": 12},
        error_x={"type": "data", "array": [high - card.effect], "arrayminus": [card.effect - low], "color": _BLUE},
    )  # fmt: skip
    figure.add_vline(x=0, line_color=_GREY, line_width=1)
    source = f"{card.provenance.get('model', '')}, weights {card.provenance.get('weights', '')}"
    note = f"{card.n} held-out items in {card.groups} groups; {source}"
    figure.update_xaxes(title=f"change of {_escaped(card.metric)}")
    figure.update_layout(
        title={"text": f"{_escaped(card.verdict)}<br><sub>{_escaped(note)}</sub>", "x": 0.01, "xanchor": "left",
               "font": {"size": 14}},
        template="simple_white", height=260, margin={"t": 80, "l": 80, "r": 30, "b": 50}, showlegend=False,
    )  # fmt: skip
    return figure
