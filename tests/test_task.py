"""Task: splits that never share a group, files that name the line that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mi_widgets as mi

SPLITS = ("fit", "select", "report")


def pairs(groups: list[str]) -> tuple[mi.Pair, ...]:
    return tuple(mi.Pair(f"clean {n}", f"corrupt {n}", " a", " b", group=group) for n, group in enumerate(groups))


@given(st.lists(st.sampled_from("abcdefghijklmnop"), min_size=1, max_size=60), st.integers(0, 5))
def test_no_group_is_in_two_splits_and_no_item_is_lost(groups: list[str], seed: int) -> None:
    task = mi.Task(pairs(groups), seed=seed)
    if not task.has_splits:
        return
    homes = [{pair.group for pair in task.split(name)} for name in SPLITS]
    assert not homes[0] & homes[1] and not homes[0] & homes[2] and not homes[1] & homes[2]
    assert sorted(p.clean for name in SPLITS for p in task.split(name)) == sorted(p.clean for p in task)
    assert all(task.split(name) for name in SPLITS)


def test_equal_groups_are_divided_40_20_40() -> None:
    task = mi.Task(pairs([str(n // 2) for n in range(40)]))
    assert [len(task.split(name)) for name in SPLITS] == [16, 8, 16]
    assert task.split("all") == task.items


def test_a_split_depends_on_the_seed_and_on_nothing_else() -> None:
    items = pairs([str(n) for n in range(20)])
    assert mi.Task(items).report == mi.Task(items, name="other").report
    assert set(mi.Task(items).report) == set(mi.Task(items[::-1]).report)
    assert set(mi.Task(items, seed=1).report) != set(mi.Task(items).report)


def test_under_six_groups_there_are_no_splits() -> None:
    task = mi.Task(pairs(list("aabbccddee")), name="small")
    assert not task.has_splits
    with pytest.raises(ValueError, match=r"small has 5 groups and needs 6"):
        task.report  # noqa: B018
    assert mi.Task(pairs(list("abcdef"))).has_splits
    with pytest.raises(ValueError, match="a split is one of"):
        task.split("test")


def test_the_group_is_the_words_that_differ_whichever_way_round() -> None:
    there, back = mi.Pair("in France we", "in Italy we", "a", "b"), mi.Pair("in Italy we", "in France we", "b", "a")
    assert there.group == back.group == "France Italy"
    assert mi.Pair("same", "same", "a", "b").group == "same"


@pytest.mark.parametrize("answer", ["", (), ("a", ""), 3, None, ("a", 3)])
def test_an_answer_is_a_text_or_texts(answer: object) -> None:
    with pytest.raises(ValueError, match="answer must be a text"):
        mi.Pair("a", "b", answer, "c")  # type: ignore[arg-type]


def test_a_task_holds_pairs_and_a_known_metric() -> None:
    with pytest.raises(ValueError, match="at least one Pair"):
        mi.Task(())
    with pytest.raises(TypeError, match="not one"):
        mi.Task(("text",))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="metric must be one of"):
        mi.Task(pairs(["a"]), metric="f1")
    (pair,) = pairs(["a"])
    assert mi.Task.of(pair) == mi.Task.of([pair]) == mi.Task((pair,))
    task = mi.Task((pair,), metric=len)
    assert mi.Task.of(task) is task


NASTY = (
    "plain",
    'a "quoted", comma',
    "line\nbreak",
    "tab\t",
    "é 😀 ‮",
    "line\u2028separator \x85 \x0b \x0c",
    " leading",
)


def nasty() -> mi.Task:
    return mi.Task(
        tuple(
            mi.Pair(text, text + "!", (" a", text), " b", {text: (1, len(text)), "b": (0, 1)}, text) for text in NASTY
        )
    )


def test_a_task_comes_back_from_its_jsonl_file(tmp_path: Path) -> None:
    assert mi.Task.from_jsonl(nasty().to_jsonl(tmp_path / "task.jsonl")) == nasty()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"], ids=["plain", "as a spreadsheet writes it"])
def test_a_task_is_read_from_csv(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "task.csv"
    rows = 'clean,corrupt,answer,foil,group\n"In France, x","In Italy, x", Paris, Rome,\nb,c, d, e,own\n'
    path.write_text(rows, encoding=encoding)
    task = mi.Task.from_csv(path, metric="logprob", name="mine")
    assert task.items[0] == mi.Pair("In France, x", "In Italy, x", " Paris", " Rome")
    assert (task.items[1].group, task.metric, task.name) == ("own", "logprob", "mine")


def test_spans_come_from_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "task.csv"
    path.write_text('clean,corrupt,answer,foil,spans\nab,cb, c, d,"{""x"": [0, 1]}"\nab,cb, c, d,\n', "utf-8")
    assert [pair.spans for pair in mi.Task.from_csv(path)] == [(("x", (0, 1)),), ()]


def test_a_pair_with_spans_is_a_value() -> None:
    spans = {"subject": (4, 8), "first": (0, 3)}
    pair = mi.Pair("The keys", "The keyx", " are", " is", spans)
    assert pair.spans == (("subject", (4, 8)), ("first", (0, 3)))
    assert pair == mi.Pair("The keys", "The keyx", " are", " is", pair.spans) and hash(pair) == hash(pair)
    assert mi.Pair("a", "b", "c", "d").spans == mi.Pair("a", "b", "c", "d", {}).spans == ()
    spans["more"] = (0, 1)
    assert len(pair.spans) == 2


@pytest.mark.parametrize(
    ("spans", "why"),
    [
        ({"x": (0, 9)}, "no stretch of the 8 characters"),
        ({"x": (-1, 2)}, "no stretch"),
        ({"x": (3, 3)}, "no stretch"),
        ({"x": (5, 3)}, "no stretch"),
        ({"x": (0.0, 1)}, "from one character to another"),
        ({"x": (False, True)}, "from one character to another"),
        ({"x": (0, 1, 2)}, r"spans are \(start, end\) by name"),
        ({"x": 3}, "spans are"),
        ("a group", "spans are"),
        (7, "spans are"),
        ({"": (0, 1)}, "needs a name"),
        ({3: (0, 1)}, "needs a name"),
        ({"last": (0, 1)}, "needs a name other than 'first difference' and 'last'"),
        ((("x", (0, 1)), ("x", (1, 2))), "a name of its own"),
    ],
)
def test_a_span_is_a_named_stretch_of_the_clean_prompt(spans: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mi.Pair("The keys", "The key to more", " are", " is", spans)  # type: ignore[arg-type]


HEADER = "clean,corrupt,answer,foil\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (HEADER + "a,b, c, d\na,b,, d\n", 3),
        (HEADER + "a,b, c\n", 2),
        (HEADER + "a,b, c, d,e,f\n", 2),
        (HEADER + '"two\nlines",b, c, d\na,b, c,\n', 4),
        ("clean,corrupt,answer,wrong\na,b, c, d\n", 2),
        ("clean,corrupt,answer,foil,spans\na,b, c, d,\na,b, c, d,x 0 1\n", 3),
    ],
)
def test_a_wrong_csv_row_is_named_by_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "task.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=rf"task\.csv:{line}: "):
        mi.Task.from_csv(path)


GOOD = {"clean": "a", "corrupt": "b", "answer": " c", "foil": " d"}


@pytest.mark.parametrize(
    "row",
    [
        "{",
        "[]",
        "3",
        json.dumps({**GOOD, "answer": ""}),
        json.dumps({**GOOD, "x": 1}),
        json.dumps({**GOOD, "spans": {"x": [0, 2]}}),
        json.dumps({"clean": "a"}),
    ],
)
def test_a_wrong_jsonl_row_is_named_by_its_line(tmp_path: Path, row: str) -> None:
    path = tmp_path / "task.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n\n{row}\n", "utf-8")
    with pytest.raises(ValueError, match=r"task\.jsonl:3: "):
        mi.Task.from_jsonl(path)
