"""W&B's variables in the shell are the defaults of wandb.*, and what became of them is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from conftest import TINY

from simplify.compose import compose_points, compose_run, shell_lines
from simplify.config import RunConfig

Cli = Callable[..., Any]
SHELL = {
    "WANDB_MODE": "disabled",
    "WANDB_PROJECT": "mine",
    "WANDB_ENTITY": "me",
    "WANDB_RUN_GROUP": "g1",
    "WANDB_TAGS": "a, b,",
    "WANDB_NOTES": "why = what?",
    "WANDB_NAME": "x",
}


def in_shell(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_they_are_defaults(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    in_shell(monkeypatch, **SHELL)
    found = yaml.safe_load(cli("config").out)["wandb"]
    assert {key: found[key] for key in ("mode", "project", "entity", "group", "notes", "name")} == {
        "mode": "disabled",
        "project": "mine",
        "entity": "me",
        "group": "g1",
        "notes": "why = what?",
        "name": "x",
    }
    assert found["tags"] == ["a", "b"]


def test_what_is_typed_or_in_a_file_wins(cli: Cli, monkeypatch: pytest.MonkeyPatch, here: Any) -> None:
    in_shell(monkeypatch, WANDB_PROJECT="mine", WANDB_GROUP="no variable", WANDB_MODE="online")
    run = compose_run(["wandb.project=typed"])
    assert (run.wandb.project, run.wandb.mode) == ("typed", "online")
    assert shell_lines(run.wandb) == [
        "from the shell: wandb.mode=online (WANDB_MODE)",
        "WANDB_PROJECT=mine: has no effect: wandb.project=typed is set",
    ]
    (here / "config.yaml").write_text(cli("config", "wandb.project=kept", "wandb.mode=offline").out)
    assert compose_run([], None, here / "config.yaml").wandb.project == "kept"


def test_a_name_is_of_one_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    in_shell(monkeypatch, WANDB_NAME="x", WANDB_NOTES="n")
    two = [run for run in compose_points([{"seed": 0}, {"seed": 1}]) if isinstance(run, RunConfig)]
    assert [(run.wandb.name, run.wandb.notes) for run in two] == [(None, "n")] * 2
    assert shell_lines(two[0].wandb, several=True)[1:] == [
        "WANDB_NAME=x: has no effect: all runs would have that name; valid: wandb.name=... of one"
    ]
    (one,) = compose_points([{"seed": 0}])
    assert isinstance(one, RunConfig) and one.wandb.name == "x"


@pytest.mark.parametrize(
    ("variables", "mode", "line"),
    [
        ({"WANDB_MODE": "dryrun"}, "offline", "from the shell: wandb.mode=offline (WANDB_MODE)"),
        ({"WANDB_DISABLED": "true"}, "disabled", "from the shell: wandb.mode=disabled (WANDB_DISABLED)"),
        (
            {"WANDB_MODE": "shared"},
            "offline",
            "WANDB_MODE=shared: has no effect: wandb.mode=shared: did you mean disabled? valid: offline",
        ),
        ({"WANDB_TAGS": "t" * 65}, "offline", "at most 64 characters"),
        ({"WANDB_DIR": "w"}, "offline", "WANDB_DIR=w: has no effect: W&B's files of a run lie in its folder"),
        ({"WANDB_PROJECT": " "}, "offline", None),
        ({"WANDB_MODE": "disabled", "WANDB_DIR": "w"}, "disabled", "from the shell: wandb.mode=disabled (WANDB_MODE)"),
    ],
)
def test_each_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], mode: str, line: str | None
) -> None:
    in_shell(monkeypatch, **variables)
    run = compose_run([])
    assert run.wandb.mode == mode
    lines = shell_lines(run.wandb)
    assert len(lines) == (line is not None) and (line is None or line in lines[0])


def test_train_and_sweep_say_them(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    in_shell(monkeypatch, WANDB_PROJECT="mine", WANDB_NAME="x")
    planned = cli("sweep", *TINY, "seed=0,1", "wandb.mode=offline", "--plan").out
    assert "from the shell: wandb.project=mine (WANDB_PROJECT)" in planned and "WANDB_NAME=x: has no effect" in planned
    trained = cli("train", *TINY, "train.steps=1", "wandb.mode=disabled").out
    assert "WANDB" not in trained and "loss curve" in trained
