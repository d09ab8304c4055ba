"""How much of each built-in task the default model solves: all items, each on its own prompts with BOS.

    .venv/bin/python benchmarks/tasks.py [name …]

groups: what a split never divides. report: items of the held-out split. solved: share of items whose metric (logit
difference of answer and foil) is at least 1 higher on the clean than on the corrupt prompt; `tone` has no corrupt
prompt. accuracy: share of clean prompts after which the likeliest answer is above every foil. clean, corrupt: the
metric's means.
"""

from __future__ import annotations

import sys

import torch

import mi_widgets as mi
from mi_widgets.run import pair_reader


def main(names: list[str]) -> None:
    """Print one line for each task."""
    torch.set_num_threads(1)
    model = mi.load()
    print(f"{model.name}, weights {model.weights}")
    print(f"{'task':14}{'n':>5}{'groups':>8}{'report':>8}{'solved':>8}{'accuracy':>10}{'clean':>8}{'corrupt':>9}")
    for name in names or mi.tasks.__all__:
        task = getattr(mi.tasks, name)()
        rows = [measure(model, pair) for pair in task]
        clean, corrupt, right = (sum(column) / len(rows) for column in zip(*rows, strict=True))
        solved = sum(a - b >= 1 for a, b, _ in rows) / len(rows)
        print(
            f"{name:14}{len(task):5}{len(task.groups):8}{len(task.report):8}"
            f"{solved:8.3f}{right:10.3f}{clean:8.2f}{corrupt:9.2f}"
        )


def measure(model: mi.Model, pair: mi.Pair) -> tuple[float, float, float]:
    """(logit difference on the clean prompt, on the corrupt one, accuracy on the clean one)."""
    clean, corrupt = (mi.run(model, text).logits[-1:] for text in (pair.clean, pair.corrupt))
    difference, accuracy = (pair_reader(model, metric, pair) for metric in ("logit_diff", "accuracy"))
    return float(difference(clean)), float(difference(corrupt)), float(accuracy(clean))


if __name__ == "__main__":
    main(sys.argv[1:])
