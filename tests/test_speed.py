"""What benches found, beside each other: only what may be compared, the rest in footnotes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY
from report_tools import falling, make_run, runs_of

from simplify.bench.record import Measured, entry
from simplify.compare.benched import colours_of, labels_of, with_bench
from simplify.compare.canvas import save
from simplify.compare.comparison import comparison
from simplify.compare.latex import latex_table
from simplify.compare.look import Look
from simplify.compare.notes import notes_of
from simplify.compare.overlap import at_once
from simplify.compare.report import numbers
from simplify.compare.speed import choose, remarks, speed_table
from simplify.compare.speed_chart import InReport, draw_speed
from simplify.compare.tables import rows_of
from simplify.compose import compose_run
from simplify.runs.benches import keep_bench, read_benches


def block_of(name: str) -> dict[str, Any]:
    return compose_run([*TINY, f"block={name}"]).model_dump(mode="json")["block"]


def kept(root: Path, names: list[str], created: str, mode: str = "train", rounds: int = 20, **other: Any) -> None:
    """A result file with invented times."""
    config = compose_run(TINY).model_dump(mode="json")
    key = {"device": "AMD EPYC", "kind": "cpu", "threads": 2, "torch": "2.13.0", "precision": "fp32"}
    key |= {"compile": "eager", **other}
    found = {}
    for i, name in enumerate(names):
        own = Measured([1.0 - 0.1 * i] * rounds, [2.0], 100, 1e6)
        found[name] = entry(own, Measured([1.0] * rounds, [2.0], 100, 1e6) if i else None, 1e9)
    record = {
        "created": created,
        "baseline": names[0],
        "variants": {
            name: {"config": {**config, "block": block_of(name)}, "key": key, "work": "w", "memory": None}
            for name in names
        },
        "modes": {mode: {"what": "", "rounds": rounds, "variants": found}},
    }
    keep_bench(record, root)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"device": "NVIDIA H100", "kind": "cuda", "threads": None}, "another device (NVIDIA H100)"),
        ({"torch": "2.6.0"}, "another torch (2.6.0)"),
        ({"precision": "bf16"}, "another precision (bf16)"),
        ({"compile": "compiled"}, "another compile mode (compiled)"),
        ({"threads": 1}, "another number of threads (1)"),
    ],
)
def test_a_chart_refuses_to_mix(tmp_path: Path, other: dict[str, Any], words: str) -> None:
    kept(tmp_path, ["pre_ln", "sas", "parallel"], "2026-01-01T00:00:00Z")
    kept(tmp_path, ["pre_ln", "sas_p"], "2026-01-02T00:00:00Z", **other)
    speed = choose(read_benches(tmp_path))
    assert speed is not None and [e.name for e in speed.entries] == ["pre_ln", "sas", "parallel"]
    assert len(speed.footnotes) == 1
    assert speed.footnotes[0].startswith("not in the chart: pre_ln, sas_p: ") and words in speed.footnotes[0]
    assert "sas_p" not in {row[1] for row in speed_table(speed)}
    draw_speed(speed, tmp_path / "speed.svg")
    texts = (tmp_path / "speed.svg").read_text().split("</text>")
    assert not any(text.endswith(">sas_p") for text in texts) and any("sas_p" in text for text in texts)
    assert any(text.endswith(">sas") for text in texts)


def test_which_results_are_shown(tmp_path: Path) -> None:
    assert choose(read_benches(tmp_path)) is None
    kept(tmp_path, ["pre_ln", "sas"], "2026-01-01T00:00:00Z")
    kept(tmp_path, ["pre_ln", "sas_p"], "2026-01-02T00:00:00Z")
    kept(tmp_path, ["pre_ln", "sas_p"], "2026-01-02T00:00:00Z")  # in the same second: kept beside the other
    (tmp_path / ".bench" / "torn.json").write_text('{"format": 1, "crea')
    benches = read_benches(tmp_path)
    assert len(benches) == 3
    speed = choose(benches)
    assert speed is not None and [e.name for e in speed.entries] == ["pre_ln", "sas", "sas_p"]
    assert speed.entries[0].bench.path == benches[-1].path and "from 2 benches" in speed.footnotes[0]
    assert choose(benches, blocks=["post_ln"]) is None and choose(benches, models=[]) is None


def test_the_baseline_comes_along_and_other_work_stays(tmp_path: Path) -> None:
    kept(tmp_path, ["pre_ln", "sas"], "2026-01-01T00:00:00Z")
    kept(tmp_path, ["pre_ln", "parallel"], "2026-01-02T00:00:00Z")
    kept(tmp_path, ["pre_ln", "sas"], "2026-01-03T00:00:00Z", mode="forward")
    speed = choose(read_benches(tmp_path), blocks=["sas"])
    assert speed is not None and [e.name for e in speed.entries] == ["pre_ln", "sas"]
    assert speed.modes == ["train", "forward"] and "from 2 benches" in speed.footnotes[0]
    rows = speed_table(speed)
    assert [row[:2] for row in rows[1:]] == [[w, b] for w in ("training", "forward") for b in ("pre_ln", "sas")]
    assert rows[2][3] == "1.111" and rows[2][5] == "faster"
    assert remarks(speed) == []  # 100 tokens a second of 1e6 FLOPs, of 1e9


def test_an_impossible_mfu_is_said(tmp_path: Path) -> None:
    kept(tmp_path, ["pre_ln", "sas"], "2026-01-01T00:00:00Z")
    (bench,) = read_benches(tmp_path)
    bench.record["modes"]["train"]["variants"]["sas"]["mfu"] = 1.2
    speed = choose([bench])
    assert speed is not None and remarks(speed)[0].startswith("MFU above 100%: the machine was busier")


def test_a_report_shows_what_a_bench_measured_and_not_what_runs_at_other_times_did(tmp_path: Path) -> None:
    """Runs of one seed, in other minutes: their speeds are the machine's, not the block's."""
    for minute, block in enumerate(("pre_ln", "sas", "parallel")):
        make_run(tmp_path, [f"block={block}"], falling(4.0), speed=1000 * (minute + 1), minute=2 * minute)
    found = comparison(runs_of(tmp_path))
    assert all(row.speed is None for row in found.rows) and "tokens/s" not in rows_of(found)[0]
    assert all(row.reach is None or row.reach.seconds is None for row in found.rows)
    assert any("simplify bench measures speed" in note for note in notes_of(found))
    kept(tmp_path, ["pre_ln", "sas"], "2026-01-01T00:00:00Z")
    speed = choose(read_benches(tmp_path))
    assert speed is not None
    benched = with_bench(found, speed)
    rows = {row[0]: dict(zip(rows_of(benched)[0], row, strict=True)) for row in rows_of(benched)}
    assert rows["sas"]["tokens/s"] == "1.11 (1.10 to 1.12)" and rows["parallel"]["tokens/s"] == "-"
    assert any("as simplify bench measured it" in note for note in notes_of(benched))
    colours = {row.variant.name: row.variant.style.colour for row in benched.rows}
    assert colours_of(benched, speed) == {name: colours[name] for name in ("pre_ln", "sas")}


@pytest.mark.parametrize(
    ("mine", "its", "together"),
    [
        ([(0, 60)], [(0, 60)], True),
        ([(0, 60)], [(25, 85)], True),
        ([(0, 60)], [(35, 95)], False),
        ([(0, 60)], [(0, 10)], False),  # a sixth of the longer one's time
        ([(0, 30), (100, 130)], [(0, 20), (110, 130)], True),  # saved, and gone on with
        ([(0, 60)], [(0, None)], False),  # killed: nobody knows when
        ([], [(0, 60)], False),
    ],
)
def test_which_runs_trained_side_by_side(
    tmp_path: Path, mine: list[tuple[int, int | None]], its: list[tuple[int, int | None]], together: bool
) -> None:
    for block, spans, host in (("pre_ln", mine, "a"), ("sas", its, "a"), ("parallel", its, "b")):
        folder = make_run(tmp_path, [f"block={block}"], falling(4.0))
        times = [tuple(t if t is None else f"2026-01-01T00:{t // 60:02}:{t % 60:02}Z" for t in span) for span in spans]
        attempts = [{"host": host, "pid": 1, "started": begin, "ended": end} for begin, end in times]
        (folder / "job.json").write_text(json.dumps({"attempts": attempts}))
    runs = {run.config["block"]["name"]: run for run in runs_of(tmp_path)}
    assert at_once(runs["pre_ln"], runs["sas"]) is at_once(runs["sas"], runs["pre_ln"]) is together
    assert not at_once(runs["pre_ln"], runs["parallel"])


def test_a_speed_that_is_not_decided_is_no_plain_number_anywhere(tmp_path: Path) -> None:
    """A bench of too few rounds; of runs side by side, one pair, or pairs of which some are faster and some slower."""
    for block, speeds in {"pre_ln": (1000, 1000), "sas": (1110, 1110), "parallel": (1100, 900)}.items():
        for seed, speed in enumerate(speeds):
            make_run(tmp_path, [f"block={block}", f"seed={seed}"], falling(4.0), speed=speed)
    for block, speed in {"pre_ln": 1000, "sas_p": 1100}.items():
        make_run(tmp_path, [f"block={block}", "seed=9"], falling(4.0), speed=speed, minute=9)
    kept(tmp_path, ["pre_ln", "sas"], "2026-01-01T00:00:00Z", rounds=4)
    found = with_bench(comparison(runs_of(tmp_path)), choose(read_benches(tmp_path)))
    assert {row[0]: row[1] for row in rows_of(found, keys=("speed",))[1:]} == {
        "pre_ln": "1",
        "sas": "1.11 (1.10 to 1.12) not decided",
        "parallel": "1.00 (0.90 to 1.10) not decided",
        "sas_p": "1.10 not decided",
    }
    told = {row.variant.name: numbers(row)["speed_verdict"] for row in found.rows}
    assert told == {"pre_ln": None} | dict.fromkeys(("sas", "parallel", "sas_p"), "not decided")
    assert any(note.startswith("tokens/s not decided") for note in notes_of(found))
    assert "1.11" not in latex_table(found, (), ("speed", "loss"), 3.25)[0]


@pytest.mark.parametrize(("width", "title"), [(1.5, True), (3.25, False)])
def test_the_chart_is_one_of_the_reports_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: float, title: bool
) -> None:
    """Its width, letters, title and labels; and no text is cut off at any width."""
    for created, mode in enumerate(("train", "decode_8"), start=1):
        kept(tmp_path, ["pre_ln", "sas", "sas_p_no_norm"], f"2026-01-0{created}T00:00:00Z", mode=mode)
    kept(tmp_path, ["pre_ln", "sas"], "2026-01-04T00:00:00Z", device="NVIDIA H100 80GB HBM3")
    speed, drawn = choose(read_benches(tmp_path)), list[Any]()
    assert speed is not None
    make_run(tmp_path, ["block=sas"], falling(4.0))
    labels = labels_of(comparison(runs_of(tmp_path)), speed, {"sas": "no $W_P$", "pre_ln": "Pre-LN"})
    assert labels == {"pre_ln": "Pre-LN", "sas": "no $W_P$", "sas_p_no_norm": "sas_p_no_norm"}

    def measured(figure: Any, path: Path) -> None:
        figure.draw_without_rendering()
        drawn.append(figure.get_tightbbox())
        save(figure, path)

    monkeypatch.setattr("simplify.compare.speed_chart.save", measured)
    draw_speed(speed, tmp_path / "a.svg", within=InReport(Look(title, "serif", width), {}, labels))
    text = re.sub("<!--.*?-->", "", (tmp_path / "a.svg").read_text(), flags=re.DOTALL)
    assert f'width="{width * 72:g}pt"' in text and "STIXGeneral" in text and "DejaVu" not in text
    assert ("AMD EPYC" in (tmp_path / "a.svg").read_text()) == title and "Pre-LN" in text and "$W_P$" not in text
    assert all(box.x0 > -0.02 and box.x1 < width + 0.02 and box.y0 > -0.02 for box in drawn), drawn
