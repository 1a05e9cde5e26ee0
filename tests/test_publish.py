"""A comparison as a W&B report: its specification without a network, and published with the real client."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY
from wandb_stub import WandbStub

from simplify.errors import UserError
from simplify.publish.publish import Published, grouped_by, publish
from simplify.publish.spec import report_spec
from simplify.runs.store import RunStore

Spawn = Callable[..., "subprocess.Popen[str]"]
# wandb-workspaces still uses what pydantic calls old.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:wandb_workspaces")
TABLE = "| block | loss |\n|---|---|\n| sas | 1.0 |\n"


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbStub]:
    """A server that clients of this process talk to."""
    with WandbStub() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        yield server


def panels(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels of a report's stored specification."""
    grids = [block for block in spec["blocks"] if block["type"] == "panel-grid"]
    return [panel for grid in grids for panel in grid["metadata"]["panelBankSectionConfig"]["panels"]]


def test_what_a_report_shows() -> None:
    ids = ["0123456789", "x-1"]
    report = report_spec(
        "mine", "me", "Title", ["Does it?", "It does."], TABLE, ["0123456789", "x-1"], "pre_ln", "tokens"
    )
    spec = json.loads(report._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))
    text = json.dumps(spec)
    assert all(word in text for word in ("Does it?", "It does.", "Compared with pre_ln.", json.dumps(TABLE)[1:-1]))
    lines = [panel["config"] for panel in panels(spec) if panel["viewType"] == "Run History Line Plot"]
    drawn = [(line["xAxis"], *line["metrics"]) for line in lines]
    assert drawn == [
        ("tokens", "val/loss"),
        ("tokens", "train/loss"),
        ("step", "val/loss"),
        ("seconds", "val/loss"),
    ]
    assert all((line["groupBy"], line["groupAgg"]) == ("block.value.name", "mean") for line in lines)
    (size,) = (panel["config"] for panel in panels(spec) if panel["viewType"] == "Scatter Plot")
    assert (size["xAxis"], size["yAxis"]) == ("summary:parameters", "summary:val/loss")
    (grid,) = (block for block in spec["blocks"] if block["type"] == "panel-grid")
    (runs,) = grid["metadata"]["runSets"]
    assert runs["filters"]["filters"][0]["value"] == ids


def test_charts_are_grouped_by_what_alone_tells_variants_apart() -> None:
    def config(block: str = "pre_ln", w: Any = None, lr: float = 1.0, seed: int = 0) -> dict[str, Any]:
        return {"block": {"name": block, "w": w}, "optimiser": {"lr": lr}, "seed": seed, "train": {"log_every": seed}}

    kinds = [{"kind": "dense", "init": "normal"}, {"kind": "identity"}]
    assert grouped_by([config("sas"), config(seed=1)]) == "block.name" == grouped_by([config(), config(seed=1)])
    assert grouped_by([config(w=kind) for kind in kinds]) == "words.block.w"
    assert grouped_by([config(), config(lr=2.0)]) == "optimiser.lr"
    assert grouped_by([config(w=kinds[0], lr=2.0), config(w=kinds[1])]) is None


def test_published_twice_is_one_report(spawn: Spawn, stub: WandbStub, here: Path) -> None:
    words = ["block=sas", *TINY, "wandb.mode=disabled"]
    assert spawn("train", *words).wait(timeout=120) == 0
    assert spawn("sync", "--disabled-too").wait(timeout=60) == 0
    (picture,) = (here / "runs").glob("sas-*/loss.png")
    other = shutil.copytree(picture.parent, here / "runs" / "pre_ln-gpt_nano-0123456789")  # not uploaded
    about = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**about, "id": other.name[-10:]}))

    def put(title: str) -> Published:
        return publish("mine-123456", title, ["Does it?"], TABLE, [picture], RunStore().runs(), "pre_ln")

    first = put("First")
    assert (first.shown, first.missing) == (1, [other.name])
    assert first.url.startswith(f"{stub.url}/me/simplify/reports/First--")
    second = put("Second")
    (report,) = stub.reports.values()
    assert report["displayName"] == "Second" and second.url.rpartition("--")[2] == first.url.rpartition("--")[2]
    assert len(panels(report["spec"])) == 5
    assert stub.files["table.md"].decode() == TABLE and stub.files["loss.png"] == picture.read_bytes()
    assert {(kept["artifactTypeName"], kept["state"]) for kept in stub.artifacts} == {("report", "COMMITTED")}
    small = stub.runs["report-mine-123456"]
    assert (small.info["jobType"], small.state) == ("report", "finished") and len(stub.runs) == 2


def test_the_command_uploads_and_publishes(spawn: Spawn, stub: WandbStub, here: Path) -> None:
    """From a run that was recorded offline to a report on the server, in one command."""
    assert spawn("train", "block=sas", *TINY, "wandb.mode=offline").wait(timeout=120) == 0
    process = spawn("report", "--wandb", env=stub.env)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    (report,) = stub.reports.values()
    assert f"W&B report: {stub.url}" in out and "(1 run)" in out
    assert stub.files["table.md"] == (here / "report" / "table.md").read_bytes()
    assert stub.files["loss.png"] == (here / "report" / "loss.png").read_bytes()
    assert "minus" not in report["displayName"] and len(panels(report["spec"])) == 5


def test_without_any_run_there(stub: WandbStub) -> None:
    with pytest.raises(UserError, match="none of the runs has begun"):
        publish("mine", "Title", [], TABLE, [], [])
    assert not stub.reports


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    with pytest.raises(UserError, match=r"pip install '\.\[report\]' in simplify's folder"):
        publish("mine", "Title", [], TABLE, [], [])
