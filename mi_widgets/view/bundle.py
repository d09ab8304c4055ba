"""The page's part of a view: the script and the style that the build leaves in `mi_widgets/static/`."""

from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent.parent / "static"


class NotBuilt(RuntimeError):
    """A view was made in a checkout whose page part has not been built."""


@cache
def script(stem: str) -> str:
    """The ES module of one view, everything it needs inside."""
    return _read(STATIC / f"{stem}.js")


@cache
def style() -> str:
    """The stylesheet that all views share."""
    return _read(STATIC / "widget.css")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise NotBuilt(
            f"mi_widgets/static/{path.name} is missing, so there is nothing to draw with. "
            "In a checkout run `make setup` (or `npm run build:widgets`); an installed wheel has it inside."
        ) from None
