"""A trained model in Python and on the command line: its loss on a text, and text of its own."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TEXT, TINY, run_folder

import simplify
from simplify.errors import ConfigError, DataError, RunFolderError
from simplify.training.evaluate import nats_of
from simplify.zoo.model import Transformer

Cli = Callable[..., Any]
SOME = (TEXT / "queues.py").read_text()[:1500] + " <|endoftext|> é"


def one_by_one(model: Transformer, tokens: list[int], context: int, stride: int) -> float:
    """The plain definition: each token from the window that predicts it first."""
    total, counted, end = 0.0, 0, min(context, len(tokens) - 1)
    while counted < len(tokens) - 1:
        start = max(end - context, 0)
        logs = model(torch.tensor([tokens[start:end]]))[0].double().log_softmax(-1)
        for place in range(counted, end):
            total -= logs[place - start, tokens[place + 1]].item()
        counted, end = end, min(end + stride, len(tokens) - 1)
    return total


def test_from_the_shell_and_in_python(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("train", *TINY, "train.steps=4").code == 0
    run = run_folder(here)
    trained = simplify.RunStore("runs")[run.name[-10:][:6]].load("cpu")
    assert not trained.model.training and trained.step == 4
    found = trained.loss(SOME)
    tokens = [0, *trained.tokeniser.encode(SOME.replace("<|endoftext|>", ""), add_special_tokens=False).ids]
    assert found.tokens > len(tokens) and found.bytes == len(SOME.encode())  # the word in the text is text
    again = simplify.load(run).loss(SOME, stride=16)
    assert again.tokens == found.tokens and 0 < abs(again.nats - found.nats) < 0.05 * found.nats
    assert math.isclose(found.bits_per_byte, found.nats_per_token * found.tokens / found.bytes / math.log(2))
    assert trained.generate("def ", 20, seed=1) == trained.generate("def ", 20, seed=1)
    assert trained.generate("def ", 20, seed=1).startswith("def ")
    for stride in (0, 17):
        with pytest.raises(ConfigError, match=f"stride={stride}: valid: 1 to 16"):
            trained.loss(SOME, stride)
    with pytest.raises(DataError, match="the text is empty"):
        trained.loss("")
    with pytest.raises(ConfigError, match="this machine or this torch has none; valid here: auto"):
        simplify.load(run, "tpu")
    with pytest.raises(RunFolderError, match="no run of that name or id"):
        simplify.RunStore("runs")["zzz"]
    assert [one.name for one in simplify.RunStore("runs")] == [run.name]

    (here / "a text").write_bytes(SOME.replace("\n", "\r\n").encode("utf-8-sig"))
    told = json.loads(cli("eval", run.name, "--text", "a text", "--json").out)
    assert (told.pop("schema"), told.pop("run"), told.pop("step")) == ("simplify.eval/1", run.name, 4)
    assert told == {name: getattr(found, name) for name in told} and len(told) == 5
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SOME.encode())))
    shown = cli("eval", str(run), "--text", "-")
    assert shown.out.endswith(
        f"{found.nats_per_token:.4f} nats a token, perplexity {found.perplexity:.2f}, {found.bits_per_byte:.4f} "
        "bits a byte\n"
    )
    for name, data, message in (
        ("none", None, "--text=none: cannot be read: No such file or directory; valid: a text file, or -"),
        ("utf16", SOME.encode("utf-16"), "--text=utf16: is no UTF-8 text (byte 0)"),
        ("nul", b"a\0b", "--text=nul: is no text (it holds NUL bytes)"),
        ("empty", b"", "eval: the text is empty"),
    ):
        if data is not None:
            (here / name).write_bytes(data)
        done = cli("eval", run.name, "--text", name)
        assert done.code == 2 and message in done.err and done.err.count("\n") == 1, done.err


@pytest.mark.parametrize("length", [2, 9, 10, 11, 57])
@pytest.mark.parametrize("stride", [1, 4, 9])
def test_each_token_counts_once(length: int, stride: int) -> None:
    from zoo_tools import VOCAB, built

    _, model = built(["block=sas"])
    tokens = torch.randint(VOCAB, (length,), generator=torch.Generator().manual_seed(1)).tolist()
    assert math.isclose(nats_of(model, tokens, 9, stride), one_by_one(model, tokens, 9, stride), rel_tol=1e-5)


def test_an_encoder_gives_a_text_no_probability(cli: Cli, here: Path) -> None:
    assert cli("train", *TINY, "model.kind=encoder", "train.steps=2").code == 0
    trained = simplify.load(run_folder(here), "cpu")
    for use in (trained.loss, trained.generate):
        with pytest.raises(ConfigError, match=r"this run is an encoder \(model.kind=encoder\)"):
            use("a text")


def test_the_package_shows_what_it_has() -> None:
    assert {"RunStore", "load", "__version__"} <= set(dir(simplify)) and "TYPE_CHECKING" not in dir(simplify)
    with pytest.raises(AttributeError):
        _ = simplify.nothing  # type: ignore[attr-defined]
