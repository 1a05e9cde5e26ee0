"""Shared fixtures: a tiny real corpus, the command line in this process and in its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forks import start as begin
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

from simplify.runs.files import left_out

# Before any test loads torch: tiny sums gain nothing from threads, and the workers would wait for each other's.
os.environ["OMP_NUM_THREADS"] = "1"

# Shapes in the zoo's signatures are checked at run time in every test of this process.
install_import_hook("simplify.zoo", "beartype.beartype")

# A shell without job control starts what runs in the background with Ctrl-C ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How fast a busy machine draws examples says nothing about what they are tried on.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

ROOT = Path(__file__).resolve().parents[1]

# Real Python source that every interpreter has, small enough to tokenise in half a second.
TEXT = Path(sysconfig.get_paths()["stdlib"]) / "asyncio"
TINY_DATA = ["data=text", f"data.path={TEXT}", "data.pattern=*.py", "data.vocab_size=384", "data.val_fraction=0.3"]
TINY_MODEL = ["model.n_layers=2", "model.d_model=32", "model.n_heads=2", "model.d_ff=64", "model.seq_len=16"]
TINY_TRAIN = ["train.batch_tokens=128", "train.steps=20", "train.val_sequences=16", "train.log_every=1"]
# Whatever a model's own rate is, and whatever this processor is good at: bits are compared.
TINY_TRAIN += ["optimiser.lr=1e-3", "train.precision=fp32"]
TINY = [*TINY_DATA, *TINY_MODEL, *TINY_TRAIN, "wandb.mode=disabled", "cluster.cpu_threads=1"]

# What a run's machine decides, not its configuration.
TIMING = ("seconds", "step_time", "tokens_per_sec", "peak_mem_gib")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test first: at the end one worker would wait a minute for the other."""
    items.sort(key=lambda item: item.path.name != "test_wheel.py")


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One corpus cache for all workers of the test run: building is safe when they race."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    return shared / "simplify-cache"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, cache_dir: Path) -> None:
    """No variable of the developer's own shell reaches a test, and no damaged file that another one met."""
    left_out()
    for name in [n for n in os.environ if n.startswith(("SIMPLIFY_", "WANDB_")) or n == "COLUMNS"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SIMPLIFY_CACHE", str(cache_dir))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a hostile name, in which runs/ will lie."""
    folder = tmp_path / "it's a (hostile) dir=1, ü"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


class Result:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], here: Path) -> Callable[..., Result]:
    """Run the real command line in this process: argument parsing, exit code and all."""
    from simplify.cli import main

    def run(*words: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["simplify", *words])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    assert here.is_dir()
    return run


@pytest.fixture
def spawn(here: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command line as a process of its own; whatever still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, **options: Any) -> subprocess.Popen[str]:
        env = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
        null, pipe = subprocess.DEVNULL, subprocess.PIPE
        cwd = options.pop("cwd", here)
        process = begin(words, cwd, env, stdin=null, stdout=pipe, stderr=pipe, **options)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def run_folder(here: Path) -> Path:
    """The only run folder below `here`."""
    (folder,) = (p for p in (here / "runs").iterdir() if not p.name.startswith("."))
    return folder


def rows(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl, strictly parsed."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def untimed(metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what the machine's speed decides."""
    return [{k: v for k, v in row.items() if k not in TIMING} for row in metrics]
