"""`simplify diff`: real runs, and run folders with files changed or missing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, TINY, Result, rows

from simplify.cli.diff import diff_command
from simplify.compare.difference import difference, is_beside
from simplify.compose import compose_run
from simplify.errors import RunFolderError
from simplify.runs.folder import RunFolder
from simplify.runs.identity import identity

Data = dict[str, Any]
Compare = Callable[..., Data]
Printed = Callable[..., str]
Pair = tuple[Path, Path]

RUNS = {
    "base": [],
    "seed": ["seed=1"],
    "lr": ["optimiser.lr=2e-3", "train.micro_batch=4"],
    "again": [],  # in another run root
}
_TRAINED: dict[str, Path] = {}


@pytest.fixture
def runs(cli: Callable[..., Result], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of four real runs, trained by the first test that wants them."""
    if not _TRAINED:
        root = tmp_path_factory.mktemp("diff")
        for name, words in RUNS.items():
            folder = root / ("elsewhere" if name == "again" else "runs")
            there = set(folder.glob("*-*"))
            result = cli("train", *TINY, *words, f"run_root={folder}")
            assert result.code == 0, result.err
            (_TRAINED[name],) = set(folder.glob("*-*")) - there
    return dict(_TRAINED)


@pytest.fixture
def pair(runs: dict[str, Path], tmp_path: Path) -> Pair:
    """Copies of two runs of one configuration, to be changed."""
    first, second = (tmp_path / name / runs["base"].name for name in ("one", "two"))
    shutil.copytree(runs["base"], first)
    shutil.copytree(runs["again"], second)
    return first, second


@pytest.fixture
def compare(capsys: pytest.CaptureFixture[str]) -> Compare:
    """What `simplify diff --json` prints."""

    def run(first: Path | str, second: Path | str, root: Path | None = None) -> Data:
        capsys.readouterr()
        diff_command(str(first), str(second), root, as_json=True)
        return json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))

    return run


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """What `simplify diff` prints, with spaces made one."""

    def run(first: Path | str, second: Path | str, root: Path | None = None) -> str:
        capsys.readouterr()
        diff_command(str(first), str(second), root, as_json=False)
        return " ".join(capsys.readouterr().out.split())

    return run


def edit(file: Path, change: Callable[[Data], object]) -> None:
    read, write = (yaml.safe_load, yaml.safe_dump) if file.suffix == ".yaml" else (json.loads, json.dumps)
    data = read(file.read_text())
    change(data)
    file.write_text(write(data))


def write_rows(folder: Path, metrics: list[Data]) -> None:
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in metrics))


def losses(*values: float | None) -> list[Data]:
    return [{"step": 10 * n, "train/loss": value} for n, value in enumerate(values, start=1)]


SEED = {"key": "seed", "first": 0, "second": 1}
RATE = {"key": "optimiser.lr", "first": 0.001, "second": 0.002}
MICRO = {"key": "train.micro_batch", "first": None, "second": 4}


@pytest.mark.parametrize(("other", "settings", "beside"), [("seed", [SEED], []), ("lr", [RATE], [MICRO])])
def test_what_differs_and_where_the_losses_part(
    runs: dict[str, Path], compare: Compare, printed: Printed, other: str, settings: list[Data], beside: list[Data]
) -> None:
    first, second = runs["base"], runs[other]
    found = compare(first.name, second.name.rpartition("-")[2], first.parent)
    assert found["first"]["folder"] == str(first) and found["second"]["id"] == second.name[-10:]
    assert found["same_settings"] is False and found["settings"] == settings and found["beside"] == beside

    values = [(a["step"], a["train/loss"], b["train/loss"]) for a, b in zip(rows(first), rows(second), strict=True)]
    parted = next(v for v in values if v[1] != v[2])
    apart = next(v for v in values if abs(v[1] / v[2] - 1) > 0.0101)
    said = found["losses"]
    assert said["shared_steps"] == 20
    assert tuple(said["first_difference"].values()) == parted and tuple(said["first_apart"].values()) == apart
    results = [json.loads((folder / "done.json").read_text())["val/loss"] for folder in (first, second)]
    assert [said["final"][side]["value"] for side in ("first", "second")] == results
    assert said["final_difference"] == results[1] - results[0] != 0

    text = printed(first, second)
    assert f"{settings[0]['key']} │ {settings[0]['first']} │ {settings[0]['second']}" in text
    assert f"validation, final │ 20 │ {results[0]:.4f} │ {results[1]:.4f} │ {results[1] - results[0]:+.4f}" in text
    assert "code: same code" in text and "environment: the same" in text and "attempts" not in text
    assert ("outside the run's identity" in text) == bool(beside)


def test_runs_of_one_configuration_never_part(runs: dict[str, Path], compare: Compare, printed: Printed) -> None:
    found = compare(runs["base"], runs["again"])
    assert found["same_settings"] is True and found["settings"] == []
    assert found["beside"] == []  # where they lie is no setting
    assert found["losses"]["first_difference"] is found["losses"]["first_apart"] is None
    assert found["losses"]["final_difference"] == 0 and found["environment"] == []
    text = printed(runs["base"], runs["again"])
    assert "settings: same run settings" in text
    assert "training loss: the same in all 20 steps that both logged" in text


def test_code_and_environment(pair: Pair, compare: Compare, printed: Printed) -> None:
    first, second = pair
    clean, dirty = {"commit": "c1", "dirty": False, "patch": None}, {"commit": "c2", "dirty": True, "patch": "abc"}
    edit(first / "run.json", lambda run: run.update(git=clean, code="h1"))
    edit(second / "run.json", lambda run: run.update(git=dirty, code="h2", host="elsewhere"))
    edit(second / "run.json", lambda run: (run["versions"].update(torch="0.1"), run["device"].update(precision="bf16")))
    found = compare(first, second)
    assert found["settings"] == [] and found["code"]["same"] is False
    said = [(item["key"], item["first"], item["second"]) for item in found["code"]["differs"]]
    assert said == [("commit", "c1", "c2"), ("dirty", False, True), ("patch", None, "abc")]
    environment = {item["key"]: item["second"] for item in found["environment"]}
    assert environment == {"versions.torch": "0.1", "host": "elsewhere", "device.precision": "bf16"}
    assert "A ran h1, B ran h2" in (text := printed(first, second))
    assert "what B had beyond its commit was not kept" in text and "versions.torch" in text
    patch = second.parent / ".patches" / "abc.patch"
    patch.parent.mkdir()
    patch.touch()
    assert compare(first, second)["code"]["patches"] == {"first": None, "second": str(patch)}
    assert f"git apply {patch}" in printed(first, second).replace("'", "")

    edit(first / "run.json", lambda run: run.pop("code"))  # as of older versions
    assert compare(first, second)["code"]["same"] is None
    assert "not known whether it is the same" in printed(first, second)
    edit(first / "run.json", lambda run: run.update(git=None, code="h2"))
    assert compare(first, second)["code"]["same"] is True
    assert compare(first, second)["code"]["differs"][0] == {"key": "commit", "second": "c2"}


def test_attempts(pair: Pair, compare: Compare, printed: Printed) -> None:
    edit(pair[1] / "job.json", lambda job: job["attempts"].append({**job["attempts"][0], "from_step": 7}))
    assert compare(*pair)["attempts"] == {"first": [0], "second": [0, 7]}
    assert "attempts of A: 1, from step 0 attempts of B: 2, from steps 0, 7" in printed(*pair)


def test_settings_of_blocks_and_other_corpora(pair: Pair, compare: Compare) -> None:
    first, second = pair
    edit(second / "run.json", lambda run: (run.update(id="0123456789"), run["identity"]["data"].update(corpus="other")))
    corpus = json.loads((first / "run.json").read_text())["identity"]["data"]["corpus"]
    text = {"key": "corpus (fingerprint)", "first": corpus, "second": "other"}
    found = compare(first, second)  # the text was edited: one configuration, two runs
    assert found["same_settings"] is False and found["settings"] == [text]

    def change(config: Data) -> None:
        config["block"] |= {"name": "[bold]mine", "value": {"kind": "reparam", "skip": 1}, "trainable_gains": ["x"]}
        config["block"]["projection"] = {**config["block"]["projection"], "init": "normal"}
        config["data"]["path"], config["model"]["kind"] = "elsewhere", "encoder"
        config.pop("wandb")

    edit(second / "config.yaml", change)
    found = compare(first, second)
    settings = {item["key"]: item.get("second") for item in found["settings"]}
    assert settings["block.value"] == {"kind": "reparam", "skip": 1} and settings["block.projection.init"] == "normal"
    assert set(settings) > {"data.path", "model.kind", "corpus (fingerprint)"}
    beside = {item["key"]: item.get("second") for item in found["beside"]}
    assert beside["block.name"] == "[bold]mine" and "wandb" in beside
    edit(second / "run.json", lambda run: run["identity"]["data"].update(corpus=corpus))
    assert "data.path" in {item["key"] for item in compare(first, second)["beside"]}


def test_two_spellings_of_one_run(pair: Pair, compare: Compare) -> None:
    edit(pair[1] / "config.yaml", lambda config: config["model"].update(n_kv_heads=2))
    found = compare(*pair)
    assert found["same_settings"] is True and [item["key"] for item in found["beside"]] == ["model.n_kv_heads"]


def test_texts_are_printed_as_they_are(pair: Pair, printed: Printed) -> None:
    edit(pair[1] / "config.yaml", lambda config: config["wandb"].update(tags=["[red]", "no"]))
    assert "wandb.tags │ [] │ [[red],no]" in printed(*pair)


@pytest.mark.parametrize(
    ("second", "differ", "apart"),
    [
        ([2.0, 4.0, 8.0], None, None),
        ([2.0, 4.0000001, 8.0801], 20, None),
        ([2.0, 4.039, 8.09], 20, 30),
        ([2.03, 4.0, 8.0], 10, 10),
        ([2.0, None, 8.0], 20, 20),
        ([2.0, 4.0], None, None),
    ],
)
def test_where_losses_part(
    pair: Pair, compare: Compare, printed: Printed, second: list[float | None], differ: int | None, apart: int | None
) -> None:
    write_rows(pair[0], [{"step": 5, "train/loss": 9.0}, *losses(2.0, 4.0, 8.0)])
    write_rows(pair[1], losses(*second))
    for order in (pair, pair[::-1]):
        found = compare(*order)["losses"]
        steps = [point and point["step"] for point in (found["first_difference"], found["first_apart"])]
        assert steps == [differ, apart] and found["shared_steps"] == len(second)
    text = printed(*pair)
    assert ("4.0000001" in text) == (4.0000001 in second)
    assert ("never more than 1% apart" in text) == (differ is not None and apart is None)


def test_files_that_are_missing_are_said(pair: Pair, compare: Compare, printed: Printed) -> None:
    first, second = pair
    validated = [{"step": 3, "val/loss": 3.1}, {"step": 30, "train/loss": 1.2, "val/loss": 1.25}]
    write_rows(first, [*validated, {"step": 40, "train/loss": 1.0}])
    (first / "done.json").unlink()
    found = compare(first, second)
    assert found["losses"]["final"]["first"] == {"step": 30, "value": 1.25, "done": False}
    assert "30 (not done) / 20" in printed(first, second)

    for name in ("metrics.jsonl", "done.json", "job.json", "config.yaml"):
        (second / name).unlink()
    (second / "config.yaml").write_text("block: [")
    found = compare(first, second)
    assert found["missing"]["first"] == []
    assert [said.split()[0] for said in found["missing"]["second"]] == ["config.yaml", "job.json", "metrics.jsonl"]
    assert found["same_settings"] is None and found["losses"]["final"]["second"] is None
    assert found["losses"]["shared_steps"] == 0 and found["losses"]["final_difference"] is None
    text = printed(first, second)
    assert "nothing was logged" in text and "no step was logged in both" in text and "same run settings" not in text

    (first / "run.json").write_text("{torn")
    bare = difference(RunFolder(first, "x"), RunFolder(second.parent / "absent", "y"))
    assert bare.environment is None and bare.code.same is None and bare.code.items == []
    assert any("run.json" in sentence for sentence in bare.missing[0]) and len(bare.missing[1]) == 4


def test_words_that_name_no_two_runs(runs: dict[str, Path]) -> None:
    root = runs["base"].parent
    with pytest.raises(RunFolderError, match="names the same run as"):
        diff_command(runs["base"].name, str(runs["base"]), root, as_json=False)
    with pytest.raises(RunFolderError, match="no run of that name"):
        diff_command(runs["base"].name, "absent", root, as_json=False)


def _other(value: Any) -> Any:
    """Some other value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    return 3 if value is None else value + "x" if isinstance(value, str) else (*value, "x")


def test_what_is_set_apart_is_what_the_identity_leaves_out() -> None:
    run = compose_run(["block=pre_ln", "model=bert_nano", "data.packing=document"])
    whole, checked = run.model_dump(), 0
    for group in ("train", "optimiser", "cluster", "wandb", "data", "model", "block"):
        names = whole[group] if group not in ("model", "block") else ["name", "seed", "n_layers", "layout"]
        for name in names:
            if name not in whole[group]:
                continue
            part = getattr(run, group)
            changed = run.model_copy(update={group: part.model_copy(update={name: _other(getattr(part, name))})})
            left_out = identity(changed, "corpus") == identity(run, "corpus")
            assert is_beside(f"{group}.{name}", same_corpus=True) == left_out, f"{group}.{name}"
            checked += 1
    assert checked > 40
    assert is_beside("run_root", same_corpus=False) and not is_beside("seed", same_corpus=True)


def test_no_torch_is_needed() -> None:
    script = "import sys, simplify.cli.diff; print(sorted({'torch', 'wandb', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
