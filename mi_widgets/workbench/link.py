"""Link: several views that pick together."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..site import Site
from ..view import Loop

_numbers = itertools.count(1)


def link(*views: Any) -> Link:
    """Tie views together: what is picked, or pointed at, in one is picked or lit up in the others that show it.

    views: two or more views of one model, or heatmaps of `grid.show()`. Picks that only one of them can show stay its
    own. What leaves a block (`resid_post`) and what the next one reads (`resid_pre`) count as the same place. The
    Link's `close()` unties them.
    """
    return Link(views)


class Link:
    """Views that pick together, until `close()`; also a context manager."""

    def __init__(self, views: Iterable[Any]) -> None:
        self.views = tuple(views)
        strangers = [view for view in self.views if not (isinstance(view, Loop) and hasattr(view, "selection"))]
        if strangers:
            raise TypeError(f"only views can be linked, such as mi.AttentionView(...), not {strangers[0]!r:.60}")
        if len(set(self.views)) < 2:
            raise ValueError("a link needs two views or more: mi.link(first, second)")
        self._spreading = threading.RLock()
        self._busy, self._open = False, True
        name = f"link-{next(_numbers)}"
        for view in self.views:
            view.group = name
            view.observe(self._spread, "picks")
        self._spread({"owner": self.views[0]})

    def close(self) -> None:
        """Let each view pick for itself again."""
        for view in self.views if self._open else ():
            view.unobserve(self._spread, "picks")
            view.group = ""
        self._open = False

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _spread(self, change: Any) -> None:
        """Pick in the others what is picked in one; what that does to them is not spread again."""
        with self._spreading:
            if self._busy or getattr(change["owner"], "arranges", False):
                return
            self._busy = True
            try:
                for view in self.views:
                    if view is not change["owner"]:
                        _follow(view, change["owner"])
            finally:
                self._busy = False


def _follow(view: Any, leader: Any) -> None:
    """Pick what the leader has picked, and keep what it cannot show."""
    own = [site for site in view.selection if _twin(leader, site) is None]
    view.selection = [*own, *(twin for site in leader.selection if (twin := _twin(view, site)))]


def _twin(view: Any, site: Site) -> Site | None:
    """The site as this view shows it, if it does."""
    return next((each for each in _same(site) if view.shows(each)), None)


def _same(site: Site) -> list[Site]:
    """A place and its other name: the residual stream after one block is that before the next."""
    if site.kind != "residual" or site.part == "mid" or site.layer is None:
        return [site]
    after = site.part == "post"
    if not after and site.layer == 0:
        return [site]
    return [site, replace(site, part="pre" if after else "post", layer=site.layer + (1 if after else -1))]
