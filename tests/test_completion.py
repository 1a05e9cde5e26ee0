"""Tab completion, through the protocol of the shells and in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from conftest import ROOT

from simplify.choices import choices


def complete(*words: str, shell: str = "zsh", **env: str) -> list[str]:
    """What the program answers to a shell that completes the last word."""
    if shell == "bash":  # which has split the words at =
        protocol = {"COMP_WORDS": " ".join(("simplify", *words)), "COMP_CWORD": str(len(words))}
    else:
        protocol = {"_TYPER_COMPLETE_ARGS": " ".join(("simplify", *words))}
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "_SIMPLIFY_COMPLETE": f"complete_{shell}", **protocol, **env}
    code = "from simplify.cli.app import app; app(prog_name='simplify')"
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=60)
    return [line.strip().strip('"').replace("\\:", ":") for line in done.stdout.splitlines() if line.strip()]


def has(answer: list[str], word: str) -> bool:
    return any(word in line.replace('"', " ").split() or line == word for line in answer)


def test_verbs() -> None:
    assert has(complete("tr", shell="bash"), "train")


def test_blocks_whole_and_split_at_the_equals_sign() -> None:
    assert complete("train", "block", "=", shell="bash") == choices("block")
    assert complete("train", "block", "=", "sas_p", shell="bash") == ["sas_p", "sas_p_no_norm"]
    assert has(complete("train", "block=sas_p"), "block=sas_p_no_norm")


def test_settings_and_their_values() -> None:
    assert complete("train", "train.precision", "=", "b", shell="bash") == ["bf16"]
    assert complete("train", "train.prec", shell="bash") == [
        f"train.precision={p}" for p in ("auto", "fp32", "bf16", "fp16")
    ]
    assert complete("train", "train.compile=", shell="bash") == [
        f"train.compile={c}" for c in ("auto", "true", "false")
    ]
    assert complete("train", "optimiser.warm", shell="bash") == ["optimiser.warmup=0.05"]


def test_names_of_blocks_and_settings_after_blocks() -> None:
    assert complete("blocks", "sas_p", shell="bash") == ["sas_p", "sas_p_no_norm"]
    assert has(complete("blocks", "sas", "model=gpt_s"), "model=gpt_small")
    assert complete("blocks", "sas", "model", "=", "gpt_s", shell="bash") == ["gpt_small"]
    assert "model=gpt_small" in complete("blocks", "sas", "mod", shell="bash")
    assert complete("probe", "model", "=", "gpt_s", shell="bash") == ["gpt_small"]


def test_the_users_folder_is_completed_too(tmp_path: Path) -> None:
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / "zebra.yaml").write_text("norm: post\n")
    assert complete("train", "block", "=", "z", shell="bash", SIMPLIFY_CONF=str(tmp_path)) == ["zebra"]
    assert complete("train", "block", "=", "z", shell="bash", SIMPLIFY_CONF=str(tmp_path / "none")) == []


def test_in_a_real_bash(tmp_path: Path) -> None:
    """`--install-completion`, a new shell, and the Tab key."""
    assert shutil.which("bash"), "bash is needed: apt-get install bash"
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "simplify"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m simplify \"$@\"\n")
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    env = {**os.environ, "HOME": str(tmp_path), "PATH": path, "PYTHONPATH": str(ROOT), "TERM": "dumb", "PS1": "$ "}
    install = "from simplify.cli.app import app; app(['--install-completion', 'bash'], prog_name='simplify')"
    done = subprocess.run([sys.executable, "-c", install], env=env, capture_output=True, text=True, timeout=60)
    assert "completion installed" in done.stdout, done.stdout + done.stderr
    shell = pexpect.spawn("bash", ["--norc", "--noprofile", "-i"], env=env, encoding="utf-8", timeout=20)
    shell.sendline(f"source {tmp_path}/.bashrc; echo ready")
    shell.expect("\nready")
    shell.send("simplify train block=sas_p_\t")
    shell.expect_exact("sas_p_no_norm")
    shell.sendcontrol("u")  # the line is empty again; Ctrl-C is ignored by shells that something else has started so
    shell.send("simplify train block=v_\t")
    shell.expect_exact("skipinit")
    shell.send("\t\t")
    shell.expect("v_skipinit_bare")
    shell.close(force=True)


@pytest.mark.parametrize("word", ["block=no_such", "nothing.like.this"])
def test_nothing_fits(word: str) -> None:
    assert not has(complete("train", word), word)
