"""What the attention view costs a page, beside CircuitsVis, BertViz and plotly.

    .venv/bin/python benchmarks/views.py [--rounds 5] [--quick]

After `make setup-tests`. The peers are brought once, with a network; one that is not there is named and left out:

    .venv/bin/python -m pip install --no-deps --target .make/peers \
        bertviz==1.4.1 circuitsvis==1.43.3 "importlib-metadata<9" zipp
    npm install --no-save --prefix .make/peers d3@5.7.0 jquery@2.1.0 requirejs@2.3.6

All draw the same attention patterns of the default model on the same English text, in a headless Chromium without
Jupyter, each time in a new renderer process; no page may load anything from elsewhere. Peers draw the heads of one
layer, as their documentation has it: `circuitsvis.attention.attention_heads`, `bertviz.model_view` (with jquery 2.1.0:
npm has no 2.0.0) and `plotly.express.imshow` with a facet a head. Ratios are formed at equal heads and tokens only.

sent: MB of data before a pick. Ours: the view's traits, JSON and binary buffers; CircuitsVis and BertViz: the HTML they
make, without scripts; plotly: the figure's JSON. script: MB of JavaScript and CSS that a page needs besides.

CPU: seconds of all threads of the page's renderer process, from its start until it rests: the DevTools protocol's
`ProcessTime`, in steps of 10 ms. It counts script, style, layout, painting and rasterising, and depends little on what
else the machine does (times on the clock do: the load is printed). What an empty page takes is in every number. × ours:
the median ratio of paired rounds.

painted: seconds from the start of navigation to the frame after which all heads are there and no further one of more
than 50 ms follows at once (raster threads may still be at work: BertViz's are). pick: milliseconds from a click on
another head until it is painted in that sense. Ours gets at once what Python answers; what Python takes is below the
table. plotly has no such click: one head is drawn by `Plotly.newPlot`. memory: MB of JavaScript heap, array buffers and
DOM after a garbage collection, before the pick. All are medians, with the least and the most in brackets.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distributions
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import torch
from ipywidgets.widgets.widget import _remove_buffers
from playwright.sync_api import Browser, CDPSession, Error, Page

import mi_widgets as mi
from mi_widgets.model import hook_name
from mi_widgets.view import AttentionMap

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".make" / "peers"
HARNESS, STATIC = ROOT / "js" / "harness", ROOT / "mi_widgets" / "static"
sys.path[:0] = [str(ROOT), str(PEERS)]

from js.harness.fixture import plain, state  # noqa: E402
from tests.browser.lab import chromium  # noqa: E402

_LENGTHS = (128, 512, 1024)
_PEER_LENGTHS = (128, 512)
_FEW = 3  # rounds of what takes minutes
_PATIENCE = 300  # seconds until a page is given up
_BREATH, _TICK = 0.25, 0.0101  # seconds between two looks at a page, and the CPU seconds that count as none

_KINDS = {"js": "text/javascript", "css": "text/css", "json": "application/json"}
_NOTHING_FROM_ELSEWHERE = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
_CDN = "https://cdnjs.cloudflare.com/ajax/libs"
_HTML = "<!doctype html><meta charset=utf-8><title>heads</title><body>"
_CLOCK = f"""
window.clock = {{
    long: [],
    /** When the frames of more than 50 ms that follow a time at once have ended. */
    settled: (time) => clock.long.reduce(
        (end, {{startTime, duration}}) => (startTime > end + 100 ? end : Math.max(end, startTime + duration)), time
    ),
    /** When something has been painted: the frame after the one that first has it. Asks for no frame before that. */
    painted: (isThere) => new Promise((done, fail) => {{
        const look = () => {{
            if (isThere()) requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
            else if (performance.now() > {_PATIENCE}e3) fail(new Error("not drawn within {_PATIENCE} s"));
            else setTimeout(look, 10);
        }};
        look();
    }}),
}};
new PerformanceObserver((list) => clock.long.push(...list.getEntries())).observe({{type: "long-animation-frame"}});
"""


@dataclass(frozen=True)
class Case:
    """One tool's page of some heads on some tokens: what is served, and in JavaScript how it is used and read."""

    tool: str
    heads: int = 0
    length: int = 0
    files: dict[str, bytes] = field(default_factory=lambda: {"page.html": _HTML.encode()})
    sent: int = 0
    script: int = 0
    drawn: str = "true"
    """Whether all heads are there."""
    ready: str = ""
    """What goes before a pick and does not count."""
    pick: str = ""
    """Opens another head."""
    opened: str = ""
    """Whether that head is there."""

    @property
    def name(self) -> str:
        return f"{self.tool}, {self.heads} heads, {self.length} tokens"

    def rounds(self, rounds: int) -> int:
        """Fewer where one round takes minutes."""
        return min(rounds, _FEW) if self.tool in ("CircuitsVis", "BertViz") and self.length > 128 else rounds


@dataclass(frozen=True)
class Reading:
    """What one visit took: CPU seconds, seconds, MB, milliseconds."""

    cpu: float
    painted: float
    memory: float
    pick: float


def main() -> None:
    """Print one line for each tool, number of heads and number of tokens."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds over all pages; those that take minutes have 3")
    parser.add_argument("--quick", action="store_true", help="one round, 128 tokens")
    options = parser.parse_args()
    rounds, lengths = (1, _LENGTHS[:1]) if options.quick else (options.rounds, _LENGTHS)
    torch.set_num_threads(1)
    cases, notes = _gather(mi.load(), lengths, rounds)
    _name_browser()
    with chromium() as browser, _serving() as server:
        print(_machine(browser))
        readings, problems = _visit(browser, server, cases, rounds)
    _table(cases, readings)
    print("\n".join([*notes, *problems]))


def _name_browser() -> None:
    """Take the browser that `make setup-tests` found, unless CHROMIUM names one."""
    found = ROOT / ".make" / "browser.path"
    if found.is_file():
        os.environ.setdefault("CHROMIUM", found.read_text().strip())


def _machine(browser: Browser) -> str:
    there = {one.name.lower(): one.version for one in distributions()}
    names = ("mi-widgets", "circuitsvis", "bertviz", "plotly", "playwright", "torch")
    packages = ", ".join(f"{name} {there[name]}" for name in names if name in there)
    return f"{os.cpu_count()} cores, load {psutil.getloadavg()[0]:.1f}; Chromium {browser.version}, {packages}"


# The pages


def _gather(model: mi.Model, lengths: Sequence[int], rounds: int) -> tuple[list[Case], list[str]]:
    """All pages, and what is to be said below the table."""
    ids = model.ids(" ".join((ROOT / "LICENSE").read_text().split()))
    cases, notes, missing = [Case("empty page")], [], {}
    for length in lengths:
        view = mi.AttentionView(model, ids[0, :length], directions={})
        row, col = view.opened
        other = max({*range(model.n_heads)} - {col})
        seconds, answer = _openings(view, row, other, rounds)
        cases += [_ours(view, [row, other], answer), _ours(_one_layer(view), [0, other], answer)]
        notes.append(_note(view, seconds))
        if length not in _PEER_LENGTHS:
            continue
        patterns, words = _patterns(model, ids[:, :length], row), [token["text"] for token in view.tokens]
        for name, draw in _PEERS.items():
            try:
                cases.append(draw(patterns, words, other))
            except (ImportError, FileNotFoundError) as problem:
                missing[name] = f"{name} is not measured ({problem}): see the top of benchmarks/views.py"
    return cases, [*notes, *missing.values()]


def _patterns(model: mi.Model, ids: torch.Tensor, layer: int) -> np.ndarray:
    """Where the heads of a layer look [head, query_pos, key_pos]."""
    name = hook_name(mi.Site("head", layer, 0, part="pattern"))
    return model.do(lambda: model.capture(ids, [name], keep=lambda x: x[0].float().cpu().numpy()))[name]


def _openings(view: mi.AttentionView, row: int, col: int, rounds: int) -> tuple[float, bytes]:
    """Seconds that Python takes to open a head, and what it answers; the view ends as it was."""
    first, seconds, answer = view.opened, [], b""
    for _ in range(rounds):
        start = time.perf_counter()
        _open(view, row, col)
        reply = view.get_state(["pattern", "opened"])
        seconds.append(time.perf_counter() - start)
        answer = json.dumps(plain(reply)).encode()
        _open(view, *first)
    return median(seconds), answer


def _open(view: mi.AttentionView, row: int, col: int) -> None:
    """What a click on a head asks for."""
    done = threading.Event()
    tell = lambda change: done.set()  # noqa: E731
    view.observe(tell, "pattern")
    view.receive({"type": "open", "row": row, "col": col})
    if not done.wait(_PATIENCE):
        raise TimeoutError(f"layer {row}, head {col} was not opened: {view.error}")
    view.unobserve(tell, "pattern")


def _one_layer(view: mi.AttentionView) -> AttentionMap:
    """The same view of the open head's layer alone."""
    (row, col), panel = view.opened, view.panels[0]
    heads = replace(
        panel,
        rows=panel.rows._replace(labels=[panel.rows.labels[row]]),
        values=panel.values[row : row + 1],
        thumbnails=panel.thumbnails[row : row + 1],
    )
    traits = {name: getattr(view, name) for name in ("title", "tokens", "pattern", "provenance", "runnable")}
    return AttentionMap([heads], opened=[0, col], **traits)


def _note(view: mi.AttentionView, seconds: float) -> str:
    every, one = (_bytes(view.get_state([name])) / 1e6 for name in ("panels", "pattern"))
    return (
        f"{len(view.tokens)} tokens: of what is sent, all heads are {every:.2f} MB and the open one {one:.2f} MB; "
        f"Python takes {1000 * seconds:.0f} ms to answer a pick"
    )


def _bytes(traits: dict[str, Any]) -> int:
    """What crosses to the page: JSON, and binary buffers beside it."""
    words, _, buffers = _remove_buffers(traits)
    return len(json.dumps(words).encode()) + sum(map(len, buffers))


def _ours(view: AttentionMap, cell: list[int], answer: bytes) -> Case:
    """The harness's page; a pick is a tap on a small picture, answered at once."""
    traits = view.get_state()
    script = sum(len(traits.pop(name).encode()) for name in ("_esm", "_css"))
    names = (HARNESS / "page.html", HARNESS / "mount.js", STATIC / "attention.js", STATIC / "widget.css")
    rows, cols = view.panels[0].shape
    return Case(
        "mi_widgets",
        rows * cols,
        len(view.tokens),
        {path.name: path.read_bytes() for path in names}
        | {"scene.json": json.dumps(state(view)).encode(), "answer.json": answer},
        _bytes(traits),
        script,
        drawn="document.querySelectorAll('[data-testid=marks][data-drawn]').length === 2",
        ready=f"""
            const answer = await (await fetch("answer.json")).json();
            const {{values}} = answer.pattern;
            values.data = new DataView(Uint8Array.fromBase64(values.data.bytes).buffer);
            model.send = () => model.receive(answer);
            const heads = document.querySelector("[data-testid=grid-heads]");
            const box = heads.querySelector("[data-testid=cells]").getBoundingClientRect();
            const clientX = box.left + box.width * {(cell[1] + 0.5) / cols};
            const clientY = box.top + box.height * {(cell[0] + 0.5) / rows};
            const tap = {{ clientX, clientY, pointerType: "touch", bubbles: true }};
            const marks = heads.querySelector("[data-testid=marks]");
            const title = () => document.querySelector("[data-panel=pattern] h4").textContent;
            const before = title();""",
        pick="for (const kind of ['pointerdown', 'pointerup']) marks.dispatchEvent(new PointerEvent(kind, tap));",
        opened="title() !== before",
    )


def _circuitsvis(patterns: np.ndarray, words: list[str], other: int) -> Case:
    from circuitsvis.attention import attention_heads

    shown = attention_heads(patterns, words)
    data, whole = shown.cdn_src, shown.local_src
    return Case(
        "CircuitsVis",
        len(patterns),
        len(words),
        {"page.html": (_HTML + whole).encode()},
        len(data.encode()),
        len(whole.encode()) - len(data.encode()),
        drawn=f"document.querySelectorAll('canvas').length === {len(patterns) + 1}",
        pick=f"document.querySelectorAll('h4')[{other}].click();",
        opened=f"[...document.querySelectorAll('h3')].some((title) => title.textContent === 'Head {other} Zoomed')",
    )


def _bertviz(patterns: np.ndarray, words: list[str], other: int) -> Case:
    from bertviz import model_view

    modules = PEERS / "node_modules"
    scripts = {
        "require.min.js": modules / "requirejs" / "require.js",
        "d3.min.js": modules / "d3" / "dist" / "d3.min.js",
        "jquery.min.js": modules / "jquery" / "dist" / "jquery.min.js",
    }
    files = {name: path.read_bytes() for name, path in scripts.items()}
    html = model_view([torch.tensor(patterns)[None]], words, display_mode="light", html_action="return").data
    return Case(
        "BertViz",
        len(patterns),
        len(words),
        files | {"page.html": (_HTML + html.replace(_CDN, "")).encode()},
        len(html.encode()),
        sum(map(len, files.values())),
        drawn=f"document.querySelectorAll('.attn_background').length === {len(patterns)}",
        ready=f"const region = document.getElementById('attn_background_0_{other}').parentNode.lastElementChild;",
        pick="region.dispatchEvent(new MouseEvent('click', { bubbles: true }));",
        opened=f"document.querySelectorAll('.detail .attn-line-group').length === {len(words)}",
    )


def _plotly(patterns: np.ndarray, words: list[str], other: int) -> Case:
    import plotly.express as px
    from plotly.offline import get_plotlyjs

    figure = px.imshow(patterns, facet_col=0, facet_col_wrap=3, labels={"x": "key_pos", "y": "query_pos"})
    script = get_plotlyjs().encode()
    return Case(
        "plotly",
        len(patterns),
        len(words),
        {"page.html": figure.to_html(include_plotlyjs="directory").encode(), "plotly.min.js": script},
        len(figure.to_json().encode()),
        len(script),
        drawn=f"document.querySelectorAll('.hm image').length === {len(patterns)}",
        ready=f"""
            const {{z}} = document.querySelector(".js-plotly-plot").data[{other}];
            const one = document.body.appendChild(document.createElement("div"));""",
        pick="Plotly.newPlot(one, [{ type: 'heatmap', z }], { yaxis: { autorange: 'reversed' } });",
        opened="one.querySelector('.hm image')",
    )


_PEERS: dict[str, Callable[[np.ndarray, list[str], int], Case]] = {
    "plotly": _plotly,
    "BertViz": _bertviz,
    "CircuitsVis": _circuitsvis,
}


# The visits


class _Server(ThreadingHTTPServer):
    """Serves the files of one page at a time, on this machine only."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.files: dict[str, bytes] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Answer(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1] or "page.html"
        body = self.server.files.get(name)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", _KINDS.get(name.rsplit(".", 1)[-1], "text/html"))
        self.send_header("Content-Length", str(len(body or b"")))
        self.send_header("Content-Security-Policy", _NOTHING_FROM_ELSEWHERE)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def _serving() -> Iterator[_Server]:
    with _Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def _visit(browser: Browser, server: _Server, cases: list[Case], rounds: int) -> tuple[list[list[Reading]], list[str]]:
    """The readings of each page, round by round, and what went wrong: a page that failed is not visited again."""
    readings: list[list[Reading]] = [[] for _ in cases]
    failed: dict[int, str] = {}
    for turn in range(rounds):
        for number, case in enumerate(cases):
            if turn >= case.rounds(rounds) or number in failed:
                continue
            try:
                readings[number].append(_read(browser, server, case))
                print(f"round {turn + 1}: {case.name}: {readings[number][-1]}", file=sys.stderr, flush=True)
            except Error as problem:
                failed[number] = f"{case.name} is not measured: {problem.message.splitlines()[0]}"
    return readings, list(failed.values())


def _read(browser: Browser, server: _Server, case: Case) -> Reading:
    server.files = case.files
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.add_init_script(_CLOCK)
    devtools = context.new_cdp_session(page)
    devtools.send("Performance.enable")
    page.goto(server.address, wait_until="commit")
    shown = page.evaluate(f"clock.painted(() => {case.drawn})")
    cpu = _rest(devtools)
    painted = page.evaluate("(time) => clock.settled(time)", shown)
    devtools.send("HeapProfiler.collectGarbage")
    heap = devtools.send("Runtime.getHeapUsage")
    memory = sum(heap[part] for part in ("usedSize", "backingStorageSize", "embedderHeapUsedSize"))
    pick = _pick(page, devtools, case) if case.pick else 0.0
    context.close()
    return Reading(cpu, painted / 1000, memory / 1e6, pick)


def _pick(page: Page, devtools: CDPSession, case: Case) -> float:
    """Milliseconds from the click until the head that it opens is painted."""
    start, shown = page.evaluate(
        f"""async () => {{
            {case.ready}
            const start = performance.now();
            {case.pick}
            return [start, await clock.painted(() => {case.opened})];
        }}"""
    )
    _rest(devtools)
    return page.evaluate("(time) => clock.settled(time)", shown) - start


def _rest(devtools: CDPSession) -> float:
    """Wait until a page's process has done next to nothing three times in a row; its CPU seconds so far."""
    used = [_cpu(devtools)]
    while len(used) < 4 or used[-1] - used[-4] > _TICK:
        time.sleep(_BREATH)
        used.append(_cpu(devtools))
    return used[-1]


def _cpu(devtools: CDPSession) -> float:
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "ProcessTime")


# The table


def _table(cases: list[Case], readings: list[list[Reading]]) -> None:
    ours = {
        (case.heads, case.length): seen for case, seen in zip(cases, readings, strict=True) if case.tool == "mi_widgets"
    }
    print(
        f"{'tool':12}{'heads':>6}{'T':>6}{'sent MB':>9}{'script MB':>11}{'CPU s':>23}{'× ours':>8}"
        f"{'painted s':>23}{'pick ms':>24}{'memory MB':>11}"
    )
    for case, seen in zip(cases, readings, strict=True):
        if seen:
            print(_line(case, seen, ours.get((case.heads, case.length), [])))


def _line(case: Case, seen: list[Reading], ours: list[Reading]) -> str:
    ratio = f"{median(a.cpu / b.cpu for a, b in zip(seen, ours, strict=False)):.1f}" if ours else ""
    size = f"{case.heads or '':>6}{case.length or '':>6}{case.sent / 1e6:9.2f}{case.script / 1e6:11.2f}"
    cpu = _spread([reading.cpu for reading in seen], 2)
    painted = _spread([reading.painted for reading in seen], 2)
    pick = _spread([reading.pick for reading in seen], 0) if case.pick else ""
    memory = median(reading.memory for reading in seen)
    return f"{case.tool:12}{size}{cpu:>23}{ratio:>8}{painted:>23}{pick:>24}{memory:11.1f}"


def _spread(numbers: list[float], digits: int) -> str:
    """The median, with the least and the most."""
    low, middle, high = (f"{number:.{digits}f}" for number in (min(numbers), median(numbers), max(numbers)))
    return f"{middle} ({low}–{high})"


if __name__ == "__main__":
    main()
