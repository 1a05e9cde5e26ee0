"""What may import what, and what the command line loads before it needs it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, TINY

# Each room, and the rooms it may look into. One direction, no circles.
ROOMS: dict[str, set[str]] = {
    "__init__": {"notebook"},  # when it is asked for
    "notebook": {"runs", "training"},
    "errors": set(),
    "disk": {"errors"},
    "display": set(),
    "choices": {"disk", "errors"},
    "locks": {"disk", "display", "errors"},
    "machine": {"display"},
    "program": set(),
    "config": {"errors"},
    "compose": {"choices", "config", "disk", "errors"},
    "zoo": {"config"},
    "data": {"config", "disk", "display", "errors", "locks"},
    "runs": {"choices", "config", "data", "disk", "display", "locks", "machine", "program", "zoo", "errors"},
    "training": {"config", "data", "disk", "display", "errors", "machine", "runs", "zoo"},
    "dispatch": {"config", "data", "display", "errors", "locks", "machine", "program", "runs", "training"},
    "tune": {"config", "errors"},
    "sweep": {
        *("choices", "compose", "config", "data", "disk", "display", "errors", "machine", "program"),
        *("runs", "tune", "zoo"),
    },
    "bench": {"config", "display", "errors", "program", "runs", "training", "zoo"},
    "diagnose": {"compare", "config", "data", "errors", "training", "zoo"},
    "finetune": {"config", "data", "disk", "errors", "locks", "runs", "training", "zoo"},
    "export": {"config", "data", "errors", "training", "zoo"},
    "compare": {"config", "display", "runs", "tune"},
    "judge": {"compare", "errors", "runs"},
    "publish": {"errors", "runs"},
    "cli": {
        *(
            "bench",
            "choices",
            "compare",
            "compose",
            "config",
            "data",
            "diagnose",
            "disk",
            "dispatch",
            "display",
            "errors",
        ),
        *(
            "export",
            "finetune",
            "judge",
            "locks",
            "machine",
            "program",
            "publish",
            "runs",
            "sweep",
            "training",
            "tune",
            "zoo",
        ),
    },
}
# The only rooms or files that know a library.
KNOWN_ONLY_BY = {
    "hydra": {"compose/base.py", "compose/grammar.py", "compose/words.py"},
    "omegaconf": {"compose/base.py", "compose/grammar.py", "compose/resolve.py", "compose/zoo.py"},
    "wandb": {"runs/wandb_client.py"},
    "wandb_workspaces": {"publish/spec.py"},
    "rich.markup": set(),  # what is shown is text: a bracket in a path is a bracket
    "rich.progress": {"display/progress.py"},
    "typer": {
        "cli/app.py",
        "cli/complete.py",
        "cli/many_runs.py",
        "cli/one_run.py",
        "cli/options.py",
        "cli/upkeep.py",
        "cli/verdicts.py",
    },
    "matplotlib": {"compare/canvas.py"},
    "tokenizers": {
        *("data/tokenisers.py", "data/tokeniser_training.py", "data/parts.py", "data/corpus.py", "finetune/inputs.py")
    },
    "filelock": {"locks.py"},  # which tells what a disk without locks means
    "submitit": {"dispatch/launch.py", "dispatch/batch.py", "dispatch/task.py"},
    "pandas": {"runs/store.py"},
    "datasets": {"data/files.py"},
    "sklearn": {"finetune/metrics.py"},
    "transformers": {"export/huggingface.py", "export/write.py", "export/plain.py"},
}
FILES = sorted((ROOT / "simplify").rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Dotted names that a file imports, at its top or in a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "simplify":
                found |= {f"simplify.{name.name}" for name in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_go_one_way(path: Path) -> None:
    inside = path.relative_to(ROOT / "simplify")
    room = inside.parts[0].removesuffix(".py")
    names = imported(path)
    rooms = {n.split(".")[1] for n in names if n.startswith("simplify.")} - {room, "__version__"}
    allowed = ROOMS.get(room, {"cli"})
    assert rooms <= allowed, f"{inside} imports {rooms - allowed}; simplify/{room} may import {sorted(allowed)}"
    for library, knowers in KNOWN_ONLY_BY.items():
        if any(n == library or n.startswith(library + ".") for n in names):
            assert inside.as_posix() in knowers, f"{inside} imports {library}, known only by {knowers}"
    assert room == "disk" or "expanduser" not in path.read_text(), f"{inside}: expanded of simplify.disk names the key"
    if room != "display":
        assert not printed(path), f"{inside} shows something by itself; use tell, say, console of simplify.display"


def printed(path: Path) -> set[str]:
    """The ways that a file takes around `display`, where no word that is lost can end any work."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name) and node.id in ("print", "redirect_stdout"):  # also as an argument
            found.add(node.id)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Console", "input"):
            found.add(ast.unparse(node.func))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("Console", "redirect_stdout"):
            found.add(ast.unparse(node.func))
        if isinstance(node, ast.Attribute) and ast.unparse(node).strip("_") in ("sys.stdout", "sys.stderr"):
            found.add(ast.unparse(node))
    return found


def loaded(*words: str, env: dict[str, str] | None = None, code: str = "") -> set[str]:
    """Top-level modules loaded when the command line has run `words`."""
    script = (
        f"import sys; sys.argv = ['simplify', *{list(words)!r}]\n"
        "from simplify.cli import main\n"
        f"try:\n    {code or 'main()'}\nexcept SystemExit:\n    pass\n"
        "print('LOADED', *sorted({m.split('.')[0] for m in sys.modules}))"
    )
    whole = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    done = subprocess.run([sys.executable, "-c", script], env=whole, capture_output=True, text=True, timeout=60)
    return set(done.stdout.rsplit("LOADED", 1)[1].split())


HEAVY = {"torch", "wandb", "matplotlib", "datasets", "transformers"}


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        (["--help"], HEAVY | {"hydra", "omegaconf", "pydantic", "numpy", "tokenizers"}),
        (["train", "--help"], HEAVY | {"numpy", "tokenizers"}),
        (["config", "block=sas"], HEAVY | {"numpy", "tokenizers"}),
        (["train", "optimiser.lr=-1"], HEAVY),
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(words: list[str], unwanted: set[str]) -> None:
    assert loaded(*words) & unwanted == set()


def test_completion_loads_nothing_heavy() -> None:
    env = {"_SIMPLIFY_COMPLETE": "complete_bash", "COMP_WORDS": "simplify train block=", "COMP_CWORD": "2"}
    code = "from simplify.cli.app import app; app(prog_name='simplify')"
    assert loaded(env=env, code=code) & (HEAVY | {"hydra", "omegaconf", "numpy"}) == set()


def test_what_a_lane_forks_its_runs_from_loads_no_more_than_they_need() -> None:
    code = "import simplify.cli.nursery as n; n.load()"
    there = loaded(code=code)
    assert {"torch", "matplotlib"} <= there and not there & {"hydra", "wandb", "sympy", "datasets"}


def test_a_finished_run_is_shown_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = loaded("train", *TINY)
    assert "torch" in first and "sympy" not in first  # which comes with torch's compiler, a second that nobody needs
    assert loaded("train", *TINY) & {"torch", "wandb"} == set()
