"""The built-in tasks on the default model: every word one token, prompts of equal length, and solved."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import pytest
import torch

import mi_widgets as mi
from mi_widgets.intervention import Intervention
from mi_widgets.run import role_positions
from mi_widgets.tasks.tone import CHEERFUL, GLOOMY

TASKS = {name: getattr(mi.tasks, name) for name in mi.tasks.__all__}
LOCATE = tuple(name for name in TASKS if name != "tone")  # those with a corrupt prompt
PARTS = ("fit", "select", "report")

#: n and groups of each, as its docstring has them.
SIZES = {
    "agreement": (120, 20), "antonyms": (136, 17), "capitals": (120, 20), "greater_than": (126, 21),
    "induction": (120, 12), "ioi": (120, 20), "pronouns": (120, 20), "sentiment": (120, 20), "sums": (168, 9),
    "tone": (50, 25),
}  # fmt: skip
#: What of a text is an entity of its task, so that it may stand in one split only.
ENTITY = {
    "agreement": r"(?<=the )\w+(?= near| behind| next)|\w+$",
    "antonyms": r"\w+(?= ->$)",
    "capitals": r"[A-Z]\w+(?= is| the|,)|(?<=In )\w+(?=,)|(?<=of )[A-Z]\w+",
    "greater_than": r"(?<=The )\w+|(?<=year )\d{4}",
    "induction": r"\w+",
    "ioi": r"(?!When|After|While)[A-Z]\w+",
    "pronouns": r"(?<=The )\w+|(?<=When the )\w+",
    "sentiment": r"(?<=the )\w+|(?<=The )\w+|(?<=so )\w+|(?<=was )(?!so)\w+",
    "sums": r"\d \+ \d(?= = $)",
    "tone": r"(?<=When )[\w' ]+(?=, she)|(?<=how )[\w' ]+(?=\. I)",
}


def words(task: mi.Task) -> list[str]:
    sides = [side for pair in task for side in (pair.answer, pair.foil)]
    return sorted({word for side in sides for word in ([side] if isinstance(side, str) else side)})


def entities(name: str, text: str) -> set[str]:
    """The entities in a text; addends in either order are one."""
    found = set(re.findall(ENTITY[name], text))
    assert found, text
    return {" + ".join(sorted(x.split(" + "))) for x in found} if name == "sums" else found


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_splits_and_no_item_twice(name: str) -> None:
    task = TASKS[name]()
    assert task.has_splits and task.name == name and (len(task), len(task.groups)) == SIZES[name]
    assert len({(pair.clean, pair.corrupt) for pair in task}) == len(task)
    shares = [len(task.split(part)) / len(task) for part in PARTS]
    assert shares == pytest.approx([0.4, 0.2, 0.4], abs=0.09)
    assert len(task.report) >= (40 if name in LOCATE else 20)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_entity_stands_in_two_splits(name: str, seed: int) -> None:
    task = TASKS[name](seed=seed)
    seen = [
        {e for pair in task.split(part) for t in (pair.clean, pair.corrupt) for e in entities(name, t)}
        for part in PARTS
    ]
    assert all(not one & other for one, other in combinations(seen, 2))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_the_same_each_time_and_its_seed_only_divides_it(name: str) -> None:
    task, other = TASKS[name](), TASKS[name](seed=1)
    assert task == TASKS[name]() and task.items == other.items
    assert task.report != other.report


@pytest.mark.parametrize("name", ["ioi", "capitals", "antonyms", "induction"])
def test_no_answer_of_one_split_is_asked_for_in_another(name: str) -> None:
    task = TASKS[name]()
    answers = [{pair.answer for pair in task.split(part)} for part in PARTS]
    assert all(not one & other for one, other in combinations(answers, 2))


@pytest.mark.parametrize("name", ["agreement", "antonyms", "capitals", "pronouns", "sentiment", "sums"])
def test_each_pair_has_its_mirror(name: str) -> None:
    pairs = TASKS[name]().items
    assert {(p.clean, p.answer, p.foil) for p in pairs} == {(p.corrupt, p.foil, p.answer) for p in pairs}


@pytest.mark.parametrize("name", LOCATE)
def test_spans_hold_what_their_names_say(name: str) -> None:
    task = TASKS[name]()
    names = {tuple(dict(pair.spans)) for pair in task}
    assert len(names) == 1 and names != {()}
    for pair in task:
        held = {role: pair.clean[start:end] for role, (start, end) in dict(pair.spans).items()}
        assert all(text == text.strip() for text in held.values())
        found = entities(name, pair.clean)
        assert any(text.endswith(e) for text in held.values() for e in found) or name == "sums"


def test_what_the_splits_share_is_said() -> None:
    notes = {name: task().note for name, task in TASKS.items()}
    assert [name for name, note in notes.items() if not note] == ["induction"]  # it has no frame


def test_the_later_year_is_right_and_the_passed_one_was_possible() -> None:
    for pair in mi.tasks.greater_than():
        (clean,), (corrupt,) = (re.findall(r"\d(?=\d to the)", text) for text in (pair.clean, pair.corrupt))
        assert all(digit > clean for digit in pair.answer) and all(corrupt < digit < clean for digit in pair.foil)


def test_sums_are_right_and_asked_in_no_example() -> None:
    for pair in mi.tasks.sums():
        for text, said in ((pair.clean, pair.answer), (pair.corrupt, pair.foil)):
            *examples, asked = text.split("\n")
            a, b = (int(digit) for digit in asked.removesuffix(" = ").split(" + "))
            assert str(a + b) == said
            assert all(eval(line.replace("=", "==")) for line in examples)
            assert not {frozenset((a, b))} & {frozenset(map(int, re.findall(r"\d", line)[:2])) for line in examples}


def test_the_repeated_word_is_followed_by_what_followed_it() -> None:
    for pair in mi.tasks.induction():
        for text, said in ((pair.clean, pair.answer), (pair.corrupt, pair.foil)):
            *before, last = text.split()
            assert f" {before[before.index(last) + 1]}" == said


def test_no_feeling_that_is_asked_for_is_named_in_a_prompt() -> None:
    task = mi.tasks.sentiment()
    assert not {word.strip() for word in words(task)} & {word for pair in task for word in pair.clean.split()}


@pytest.mark.model
@pytest.mark.parametrize("name", TASKS)
def test_every_answer_is_one_token_and_every_pair_of_one_length(default_model: Any, name: str) -> None:
    task = TASKS[name]()
    assert all(default_model.single(word) for word in words(task))
    lengths = [[default_model.ids(text).shape[1] for text in (pair.clean, pair.corrupt)] for pair in task]
    assert all(clean == corrupt for clean, corrupt in lengths)


@pytest.mark.model
@pytest.mark.parametrize("name", LOCATE)
def test_roles_of_the_default_model_are_where_the_words_are(default_model: Any, name: str) -> None:
    for pair in TASKS[name]().items[::9]:
        ids = [default_model.ids(text)[0].tolist() for text in (pair.clean, pair.corrupt)]
        roles = role_positions(default_model, pair)
        assert roles["last"] == len(ids[0]) - 1
        assert roles["first difference"] == [a == b for a, b in zip(*ids, strict=True)].index(False)
        for role, (start, end) in dict(pair.spans).items():
            at = roles[role]
            assert default_model.tokenizer.decode(ids[0][1 : at + 1]).strip() == pair.clean[:end].strip()
            assert pair.clean[start:end].endswith(default_model.tokenizer.decode(ids[0][at]).strip())


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("name", LOCATE)
def test_the_default_model_solves_it(default_model: Any, name: str) -> None:
    """Of all pairs it solves nine in ten or more (benchmarks/tasks.py); so it has to of every seventh."""
    sample = TASKS[name]().items[::7]
    solved = [_metric(default_model, pair, pair.clean) - _metric(default_model, pair, pair.corrupt) for pair in sample]
    assert sum(difference >= 1 for difference in solved) >= 0.9 * len(sample)


@pytest.mark.model
@pytest.mark.slow
def test_a_cheerful_direction_makes_the_next_word_happier(default_model: Any) -> None:
    cheerful = mi.steer.contrast(default_model, CHEERFUL, GLOOMY, layer=19, name="cheerful")
    assert 0.05 < cheerful.natural < 0.4
    sample = mi.tasks.tone().report[:8]
    changes = [
        _metric(default_model, p, p.clean, cheerful.add(0.2)) - _metric(default_model, p, p.clean) for p in sample
    ]
    assert sum(change > 0 for change in changes) >= 7


def _metric(model: mi.Model, pair: mi.Pair, text: str, recipe: mi.Recipe | None = None) -> float:
    return mi.run(model, text, recipe).metric(pair.answer, pair.foil)


@pytest.mark.model
@pytest.mark.parametrize(("layer", "head"), [(0, 0), (29, 8)])
def test_a_head_of_the_default_model_is_switched_off_as_by_hand(default_model: Any, layer: int, head: int) -> None:
    from transformers import AutoModelForCausalLM

    from mi_widgets.model import checkpoint

    pair = mi.tasks.ioi().items[0]
    plain = AutoModelForCausalLM.from_pretrained(checkpoint.fetch(), attn_implementation="eager").eval()

    def off(_: Any, args: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        z = args[0].clone()
        z[..., head * 64 : (head + 1) * 64] = 0
        return (z,)

    handle = plain.model.layers[layer].self_attn.o_proj.register_forward_pre_hook(off)
    with torch.no_grad():
        expected = plain(default_model.ids(pair.clean)).logits[0]
    handle.remove()
    recipe = mi.Recipe((Intervention("zero", mi.Site("head", layer, head)),))
    found = mi.run(default_model, pair.clean, recipe).logits
    assert (found - expected).abs().max() < 1e-3
    answer, foil = (default_model.single(str(word)) for word in (pair.answer, pair.foil))
    by_hand = float(expected[-1, answer] - expected[-1, foil])
    assert mi.run(default_model, pair.clean, recipe).metric(pair.answer, pair.foil) == pytest.approx(by_hand, abs=1e-4)


@pytest.mark.model
@pytest.mark.slow
def test_the_code_for_the_default_model_gives_the_same(default_model: Any) -> None:
    pair = mi.tasks.ioi().items[0]
    source = mi.Recipe(provenance={**default_model.provenance, "answer": pair.answer, "foil": pair.foil})
    recipe = source + mi.steer.switch_off([mi.Site("head", 0, 0), mi.Site("head", 29, 8)], reference=CHEERFUL[:2])
    names: dict[str, Any] = {}
    try:
        exec(recipe.code(pair.clean), names)
    finally:
        torch.set_grad_enabled(True)
    found = mi.run(default_model, pair.clean, recipe).metric(pair.answer, pair.foil)
    assert names["difference"](names["after"]) == pytest.approx(found, abs=1e-5)
