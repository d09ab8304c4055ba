"""Progress: a bar, silence, or the caller's own function, told (cells done, cells in all)."""

from __future__ import annotations

from collections.abc import Callable

Tick = Callable[[int, int], None]
Progress = bool | Tick


def ticker(progress: Progress, unit: str = "cell", says: Callable[[], str] = str) -> Tick:
    """A function to call with (done, total). says: what a bar says first, asked only where there is one."""
    if callable(progress):
        return progress
    if not progress:
        return lambda done, total: None
    from tqdm.auto import tqdm

    bar = tqdm(desc=says() or None, unit=unit, leave=False, delay=1)

    def tick(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return tick
