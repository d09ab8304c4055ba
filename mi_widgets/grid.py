"""Grid: numbers with named, labelled axes, in which every cell knows its Site.

Every map in the package is a Grid: an effect per layer and head, a probability per layer and position. It carries its
unit, a sentence that says what its sign means, and where it came from. A cell that was not computed is masked, never
zero. A Grid is saved as safetensors with JSON metadata and can be opened, shown and drawn without torch or a model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .site import PARTS, Site

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from .selection import Selection

_FORMAT = "mi_widgets.grid/1"
_SITE_AXES = {"layer": "layer", "head": "index", "neuron": "index", "feature": "index", "position": "position"}


@dataclass(frozen=True)
class Axis:
    """One axis: a word (`layer head position neuron feature strength`), a coordinate and a label for each step.

    An axis of several words (`layer·neuron`) goes through chosen places; each of its coordinates has a number a word.
    """

    name: str
    coordinates: tuple[Any, ...]
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        numbers = tuple(tuple(c) if isinstance(c, (list, tuple)) else c for c in self.coordinates)
        object.__setattr__(self, "coordinates", numbers)
        for place in map(_numbers, numbers):
            if len(place) != len(self.words):
                raise ValueError(f"axis {self.name!r} has {len(self.words)} words, its coordinate {place!r} does not")
        if not self.labels:
            object.__setattr__(self, "labels", tuple(".".join(f"{n:g}" for n in _numbers(c)) for c in numbers))
        if len(self.labels) != len(self.coordinates):
            raise ValueError(
                f"axis {self.name!r} has {len(self.coordinates)} coordinates but {len(self.labels)} labels"
            )

    def __len__(self) -> int:
        return len(self.coordinates)

    @property
    def words(self) -> tuple[str, ...]:
        """What its coordinates number: one word, or several."""
        return tuple(self.name.split("·"))

    @property
    def is_place(self) -> bool:
        """Whether it says where in a model; else its steps are several numbers of one place."""
        return any(word in _SITE_AXES for word in self.words)

    def place(self, step: int) -> dict[str, Any]:
        """The fields of a Site that a step stands for."""
        numbers = zip(self.words, _numbers(self.coordinates[step]), strict=True)
        return {_SITE_AXES[word]: int(number) for word, number in numbers if word in _SITE_AXES}

    def step(self, site: Site) -> int:
        """The step that a Site is at, the first where all of them are its own; ValueError where it is at none."""
        if not self.is_place:
            return 0
        numbers = tuple(getattr(site, _SITE_AXES[word]) for word in self.words)
        return self.coordinates.index(numbers if len(numbers) > 1 else numbers[0])


def _numbers(coordinate: Any) -> tuple[Any, ...]:
    return coordinate if isinstance(coordinate, tuple) else (coordinate,)


@dataclass(frozen=True, eq=False)
class Readings:
    """What each cell reads out: its k largest tokens. `ids` and `values` have the grid's shape plus [k]."""

    ids: np.ndarray
    values: np.ndarray
    vocabulary: dict[int, dict[str, Any]]  #: token label by id


@dataclass(frozen=True, eq=False)
class Grid:
    """Numbers on labelled axes.

    values: float32 masked array, one axis for each of `axes`; masked = not computed.
    kind, part: what a cell is, as in `Site`; kind "" for a grid whose cells are not sites (a strength sweep).
    unit: of the numbers, for instance "logits".
    sign: one sentence that says what a positive number means.
    toward: 1 or -1, the sign of a cell that supports the answer (removing it would lower the metric); 0 for
        numbers without a side, such as probabilities.
    provenance: weights' hash, prompts, method, reference, seed, versions; what `selection` and files carry along.
    readings: top tokens of each cell, for lenses.
    estimated: bool, of the values' shape: True where a number is an estimate (a gradient's) and not an exact effect;
        None when every number is exact. Estimates are drawn and listed as estimates.
    collapsed: bool, of the values' shape: True where the edit broke the model, so that a number says little; None when
        no cell did. Such cells are drawn crossed.
    beside: other numbers of the same cells by name, float32 of the values' shape; in files and tables, not drawn.
    """

    values: np.ma.MaskedArray
    axes: tuple[Axis, ...]
    kind: str = ""
    part: str = ""
    title: str = ""
    unit: str = ""
    sign: str = ""
    toward: int = 0
    provenance: dict[str, Any] = field(default_factory=dict)
    readings: Readings | None = None
    estimated: np.ndarray | None = None
    collapsed: np.ndarray | None = None
    beside: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = np.ma.masked_invalid(np.ma.asarray(self.values, dtype=np.float32), copy=True)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "axes", tuple(self.axes))
        if self.toward not in (1, 0, -1):
            raise ValueError(f"toward is 1, -1 or 0, not {self.toward!r}")
        shape = tuple(len(axis) for axis in self.axes)
        if values.shape != shape:
            raise ValueError(f"values have shape {values.shape}, the axes say {shape}")
        for name in _FLAGS:
            if getattr(self, name) is not None:
                flags = _shaped(name, getattr(self, name), bool, shape)
                object.__setattr__(self, name, flags if flags.any() else None)
        beside = {name: _shaped(name, numbers, np.float32, shape) for name, numbers in self.beside.items()}
        object.__setattr__(self, "beside", beside)

    @property
    def shape(self) -> tuple[int, ...]:
        """One length for each axis."""
        return self.values.shape

    def site(self, index: Sequence[int]) -> Site:
        """The Site of the cell at `index` (one integer for each axis)."""
        if not self.kind:
            raise ValueError(f"the cells of {self.title or 'this grid'!r} are not places in a model")
        if len(index) != len(self.axes):
            raise IndexError(f"a cell of this grid has {len(self.axes)} indices, not {len(index)}")
        places = {name: n for axis, i in zip(self.axes, index, strict=True) for name, n in axis.place(i).items()}
        return Site(self.kind, part=self.part, **places)

    def index(self, site: Site) -> tuple[int, ...]:
        """The index of the cell that is `site`, the first of several; KeyError when the grid does not hold it."""
        if not isinstance(site, Site):
            raise TypeError(f"a cell is named by its Site, such as Site('head', 1, 0), not {site!r}")
        try:
            found = tuple(axis.step(site) for axis in self.axes)
        except ValueError:
            found = ()
        if not found or self.site(found) != site:
            raise KeyError(f"{site} is not a cell of {self.title or 'this grid'!r}")
        return found

    def value(self, site: Site) -> float:
        """The number of the cell that is `site`, nan where it was not computed; KeyError as in `index`."""
        return float(self.values.filled(np.nan)[self.index(site)])

    def cells(self) -> Iterator[tuple[tuple[int, ...], float]]:
        """Every computed cell as (index, value), in order."""
        for index in np.argwhere(~np.ma.getmaskarray(self.values)):
            place = tuple(int(i) for i in index)
            yield place, float(self.values[place])

    def top(self, k: int = 10, by: str = "magnitude") -> list[tuple[Site, float]]:
        """The k strongest cells, best first, as (Site, value).

        by: "magnitude" (largest absolute value), "toward" (supports the answer most) or "against".
        """
        if k < 0:
            raise ValueError(f"k must be a number of cells, not {k}")
        strength = self._strength(by)
        cells = [(i, v) for i, v in self.cells() if by == "magnitude" or strength(v) > 0]
        cells.sort(key=lambda cell: -strength(cell[1]))
        return [(self.site(index), value) for index, value in cells[:k]]

    def _strength(self, by: str) -> Any:
        side = self.toward or 1
        orders = {"magnitude": abs, "toward": lambda v: side * v, "against": lambda v: -side * v}
        if by not in orders:
            raise ValueError(f"by must be one of {', '.join(orders)}, not {by!r}")
        return orders[by]

    def select(
        self,
        top: int | None = None,
        above: float | None = None,
        sites: Sequence[Site] | None = None,
        by: str = "magnitude",
    ) -> Selection:
        """The cells that a rule picks, as a Selection: the `top` k, all `above` a threshold, or named `sites`."""
        from .selection import Selection

        return Selection.from_grid(self, top=top, above=above, sites=sites, by=by)

    def show(self) -> Any:
        """The grid as an interactive heatmap (no model needed)."""
        from .view.heatmap import Heatmap

        return Heatmap.of(self)

    def figure(self) -> go.Figure:
        """The grid as a plotly figure, for papers and pages."""
        from .view.figure import of_grid

        return of_grid(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each computed cell: a column for each axis, its label where it differs, and `value`.

        A grid that holds estimates or collapsed cells has a column `estimated` or `collapsed` as well, and one for each
        of the numbers `beside`.
        """
        import pandas as pd

        rows = []
        for index, value in self.cells():
            row: dict[str, Any] = {}
            for axis, i in zip(self.axes, index, strict=True):
                numbers = _numbers(axis.coordinates[i])
                row |= dict(zip(axis.words, numbers, strict=True))
                if axis.labels[i] != ".".join(f"{n:g}" for n in numbers):
                    row[f"{axis.name}_label"] = axis.labels[i]
            flags = {name: bool(own[index]) for name in _FLAGS if (own := getattr(self, name)) is not None}
            more = {name: float(numbers[index]) for name, numbers in self.beside.items()}
            rows.append({**row, "value": value, **flags, **more})
        return pd.DataFrame(rows)

    def __sub__(self, other: Grid) -> Grid:
        """Cell by cell difference; both grids must have the same axes, kind of cell and unit."""
        if (self.axes, self.kind, self.part) != (other.axes, other.kind, other.part):
            ours, theirs = ([f"{a.name}[{len(a)}]" for a in g.axes] for g in (self, other))
            raise ValueError(
                f"these grids have different cells: {self.kind}.{self.part} {ours} against "
                f"{other.kind}.{other.part} {theirs} (or other labels); compare maps of the same prompts"
            )
        if self.unit != other.unit:
            raise ValueError(
                f"these grids have different units, {self.unit!r} and {other.unit!r}; compare maps of one metric"
            )
        return replace(
            self,
            values=self.values - other.values,
            title=f"{self.title} − {other.title}",
            sign="Positive: larger in the first map.",
            provenance={"first": self.provenance, "second": other.provenance},
            readings=None,
            beside={},
            **{name: self._flags(name) | other._flags(name) for name in _FLAGS},
        )

    def _flags(self, name: str) -> np.ndarray:
        """Which cells are estimates, or collapsed."""
        flags = getattr(self, name)
        return np.zeros(self.shape, dtype=bool) if flags is None else flags

    def save(self, path: str | Path) -> Path:
        """Write the grid to a safetensors file; `Grid.load` opens it without a model."""
        from safetensors.numpy import save_file

        arrays = {"values": np.ma.filled(self.values, np.nan).astype(np.float32)}
        arrays |= {name: flags for name in _FLAGS if (flags := getattr(self, name)) is not None}
        arrays |= {_BESIDE + name: numbers for name, numbers in self.beside.items()}
        if self.readings is not None:
            arrays["reading_ids"] = self.readings.ids.astype(np.int32)
            arrays["reading_values"] = self.readings.values.astype(np.float32)
        save_file(arrays, str(path), metadata={"grid": json.dumps(self._header())})
        return Path(path)

    def _header(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in _PLAIN}
        axes = [{"name": a.name, "coordinates": a.coordinates, "labels": a.labels} for a in self.axes]
        vocabulary = None if self.readings is None else self.readings.vocabulary
        return {"format": _FORMAT, "axes": axes, "vocabulary": vocabulary, **plain}

    @classmethod
    def load(cls, path: str | Path) -> Grid:
        """Open a grid that `save` wrote; files of another or a newer format are refused."""
        try:
            return cls._read(Path(path))
        except KeyError as error:
            raise ValueError(f"{path} is not a whole grid: {error} is missing") from None
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path} is not a grid that can be read: {error}") from error

    @classmethod
    def _read(cls, path: Path) -> Grid:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="numpy") as file:
                header = json.loads((file.metadata() or {}).get("grid", "{}"))
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(str(error)) from None
        if header.pop("format", None) != _FORMAT:
            raise ValueError(f"its format is not {_FORMAT}")
        unknown = set(header) - {"axes", "vocabulary", *_PLAIN}
        if unknown:
            raise ValueError(f"it has the unknown field {sorted(unknown)[0]!r}")
        wrong = [name for name in _PLAIN if not isinstance(header[name], _PLAIN[name])]
        if wrong:
            raise ValueError(f"{wrong[0]} is {header[wrong[0]]!r:.80}")
        if header["kind"] and header["part"] not in ("", *PARTS.get(header["kind"], ())):
            raise ValueError(f"there are no sites {header['kind']!r} with a part {header['part']!r}")
        axes = tuple(Axis(a["name"], tuple(a["coordinates"]), tuple(a["labels"])) for a in header.pop("axes"))
        vocabulary = header.pop("vocabulary")
        readings = None
        if vocabulary is not None:
            words = {int(id_): token for id_, token in vocabulary.items()}
            readings = Readings(arrays["reading_ids"], arrays["reading_values"], words)
        more: dict[str, Any] = {name: arrays.get(name) for name in _FLAGS}
        more["beside"] = {name.removeprefix(_BESIDE): x for name, x in arrays.items() if name.startswith(_BESIDE)}
        return cls(arrays["values"], axes, readings=readings, **more, **header)


def _shaped(name: str, given: Any, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(given, dtype=dtype)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, the axes say {shape}")
    return array


_FLAGS = ("estimated", "collapsed")
_BESIDE = "beside."  # before the names of such numbers in a file
_PLAIN = {"kind": str, "part": str, "title": str, "unit": str, "sign": str, "toward": int, "provenance": dict}
