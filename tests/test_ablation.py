"""Reports over settings of one block: what is the baseline, which curves there are, and how they look."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY
from report_tools import falling, make_run, runs_of

from simplify.cli.baseline import home, planned_line
from simplify.compare.comparison import comparison
from simplify.compare.figures import gap_panel, printed_loss
from simplify.compare.finals import final_panel, is_geometric
from simplify.compare.notes import notes_of
from simplify.compare.panels import styles_of
from simplify.compare.scaling import scaling_panel
from simplify.compare.styles import DASHES, dealt, paler
from simplify.compare.variants import group
from simplify.sweep.plan import make_plan

Cli = Callable[..., Any]
LOSSES = {"dense": 4.0, "identity": 4.2}


def ablation(root: Path, rates: Sequence[str] = ("3e-3", "1e-3", "3e-4"), seeds: int = 2) -> Path:
    """W_P or none, at some rates."""
    for (kind, loss), lr, seed in itertools.product(LOSSES.items(), rates, range(seeds)):
        words = ["block=pre_ln", f"block.projection={kind}", f"optimiser.lr={lr}", f"seed={seed}"]
        make_run(root, words, falling(loss + seed / 100 + float(lr)))
    return root


def held_against(root: Path, baseline: str | None = None) -> dict[str, str | None]:
    found = comparison(runs_of(root), baseline, home=home)
    return {row.variant.name: row.base.name if row.base else None for row in found.rows}


NAMES = [None, "pre_ln", "block=pre_ln", "block.projection=dense", "projection=dense,", "pre_ln projection=DENSE"]


@pytest.mark.parametrize("baseline", NAMES)
def test_an_ablation_is_held_against_the_block_as_it_is(tmp_path: Path, baseline: str | None) -> None:
    """At each rate, whatever names it; the block's name is said nowhere, since all have it."""
    found = held_against(ablation(tmp_path, seeds=1), baseline)
    rates = ("0.003", "0.001", "0.0003")
    assert found == {f"projection={kind}, lr={lr}": f"projection=dense, lr={lr}" for kind in LOSSES for lr in rates}


def test_one_variant_can_be_the_baseline_of_all(tmp_path: Path) -> None:
    for words in ("projection=dense, lr=0.003", "block.projection=dense optimiser.lr=3e-3"):
        assert set(held_against(ablation(tmp_path / words[:5]), words).values()) == {"projection=dense, lr=0.003"}


def test_an_axis_beside_the_block_has_a_baseline_too(tmp_path: Path) -> None:
    for activation in ("relu", "gelu", "swiglu"):
        make_run(tmp_path, ["block=sas", f"model.activation={activation}"], falling(4.0))
    assert set(held_against(tmp_path).values()) == {"activation=relu"}  # the model's own
    for branch in ("0.05", "0.4"):  # sas' own is a rule of depth: 0.2 at 18 layers
        make_run(tmp_path / "gain", ["block=sas", f"block.mlp_branch={branch}"], falling(4.0))
    make_run(tmp_path / "gain", ["block=sas"], falling(4.0))
    assert set(held_against(tmp_path / "gain", "sas").values()) == {"mlp_branch=0.3"}


def test_where_no_baseline_is_nearest_a_line_says_what_to_type(cli: Cli, here: Path) -> None:
    for lr in ("2e-3", "3e-4"):  # neither is the model's own
        make_run(here / "runs", ["block=pre_ln", f"optimiser.lr={lr}"], falling(4.0))
    said = notes_of(comparison(runs_of(here / "runs"), home=home))[0]
    assert said.startswith("No verdicts: every variant would be its own baseline; name one: --baseline with one of ")
    assert said.endswith("optimiser.lr=0.0003, optimiser.lr=0.002.")
    wrong = cli("report", "--baseline", "lr=1e-3")
    assert wrong.code == 2 and "none of these runs is that; valid here: optimiser.lr=0.0003, " in wrong.err
    (here / "lr.yaml").write_text("grid: {optimiser.lr: [2e-3, 3e-4]}\nreport: {baseline: pre_ln}\n")
    words = [word for word in TINY if not word.startswith("optimiser.lr=")]  # a typed one would win over the file
    shown = cli("sweep", "lr.yaml", *words, "block=pre_ln", "--plan").out.replace("\n", " ")
    assert "report: no verdicts: every variant would be its own baseline" in shown and "optimiser.lr=0.0003" in shown


def test_a_plan_says_what_a_report_could_not(cache_dir: Path) -> None:
    def line(wanted: str | None, **axis: Sequence[Any]) -> str:
        points = [{"block": "pre_ln", "block.projection": value} for value in axis.get("projection", ["dense"])]
        points += [{"block": block} for block in axis.get("block", [])]
        return planned_line(
            make_plan([{**point, **dict(word.split("=", 1) for word in TINY)} for point in points]), wanted
        )

    assert cache_dir and line("pre_ln", projection=["dense", "identity"]) == "" == line(None, block=["sas"])
    assert "none of these runs is the baseline preln; valid here: pre_ln, sas" in line("preln", block=["sas"])
    assert "name one: --baseline with one of block.projection=identity" in line(
        None, projection=["identity", "reparam"]
    )


def test_no_line_has_two_values_at_one_place(tmp_path: Path) -> None:
    found = comparison(runs_of(ablation(tmp_path)), as_given=False)
    panel = final_panel(found, "optimiser.lr")
    assert panel is not None and panel.log_x
    assert [curve.name for curve in panel.curves] == ["projection=dense", "projection=identity"]
    assert [list(curve.x) for curve in panel.curves] == [[3e-4, 1e-3, 3e-3]] * 2
    assert panel.curves[0].y[0] == pytest.approx(4.0053)
    by = final_panel(found, "optimiser.lr", by="block.projection", log_x=False)
    assert by is not None and not by.log_x and [c.name for c in by.curves] == [c.name for c in panel.curves]


def test_lines_over_three_axes_and_twins(tmp_path: Path) -> None:
    for kind, lr, decay in itertools.product(LOSSES, ("1e-3", "3e-3"), ("0", "0.1")):
        words = [f"block.projection={kind}", f"optimiser.lr={lr}", f"optimiser.weight_decay={decay}"]
        make_run(tmp_path, ["block=pre_ln", *words], falling(4.0))
    found = comparison(runs_of(tmp_path))
    for x, y in (("optimiser.lr", "weight_decay"), ("optimiser.weight_decay", "lr")):
        panel = final_panel(found, x)
        assert panel is not None and len(panel.curves) == 4 and all(y in curve.name for curve in panel.curves)
        assert all(len(set(curve.x)) == len(curve.x) == 2 for curve in panel.curves)
        assert len({(s.colour, s.dash) for s in styles_of([panel]).values()}) == 4


def test_power_laws_do_not_join_an_ablation(tmp_path: Path) -> None:
    for kind, layers in itertools.product(LOSSES, (2, 4, 8)):
        make_run(
            tmp_path, [f"block.projection={kind}", "block=pre_ln", f"model.n_layers={layers}"], falling(5 - layers / 9)
        )
    panel, table = scaling_panel(comparison(runs_of(tmp_path)), "parameters")
    assert panel is not None and sorted(row[:2] for row in table[1:]) == [
        ["projection=dense", "3"],
        ["projection=identity", "3"],
    ]
    assert all(len(curve.x) == 3 for curve in panel.curves if "law" not in curve.name)
    linear, _ = scaling_panel(comparison(runs_of(tmp_path)), "flops", log_x=False)
    assert linear is not None and not linear.log_x and linear.log_y


def test_a_variant_looks_the_same_in_every_figure(tmp_path: Path) -> None:
    found = comparison(runs_of(ablation(tmp_path)))
    gap, final = gap_panel(found, 60), final_panel(found, "optimiser.lr")
    assert gap is not None and final is not None
    loss = styles_of([printed_loss(found, "val/loss", "step")])
    assert len(loss) == 6 == len({(style.colour, style.dash) for style in loss.values()})
    assert all(loss[name] == style for name, style in styles_of([gap]).items())
    for kind in LOSSES:  # the colour is the first axis', the dash the other's
        assert {loss[name].colour for name in loss if kind in name} == {styles_of([final])[f"projection={kind}"].colour}
    dashes = {name.rpartition("=")[2]: style.dash for name, style in loss.items()}
    assert len(set(dashes.values())) == 3 and all(loss[name].dash == dashes[name.rpartition("=")[2]] for name in loss)


def test_looks_are_all_different_also_where_they_are_many() -> None:
    styles = dealt(["a"] * 12 + ["b"] * 3, [*map(str, range(12)), "0", "1", "2"])
    assert len({(style.colour, style.dash) for style in styles}) == 15
    assert [style.dash for style in styles[12:]] == list(DASHES[:3]) == [style.dash for style in styles[:3]]
    assert paler("#000000", 0.4) == "#666666"
    axis = [(str(value), "") for value in range(30)]
    assert len({(style.colour, style.dash) for style in dealt(*zip(*axis, strict=True), blocks=False)}) == 30
    known = dealt(["sas", "pre_ln", "mine"], ["", "", ""])
    assert known[1].colour == "#000000" and len({style.colour for style in known}) == 3


def test_geometric_values_get_a_log_axis() -> None:
    assert is_geometric([1e-3, 3e-3, 1e-2]) and is_geometric([4, 8, 16, 32]) and is_geometric([1, 10, 100, 10])
    assert not is_geometric([0.1, 0.2, 0.3, 0.4]) and not is_geometric([0, 0.1, 1]) and not is_geometric([1, 100])
    assert not is_geometric([1, 2, 3]) and not is_geometric([10, 11, 12.1])


def test_unrelated_variants_come_in_the_order_of_their_settings(tmp_path: Path) -> None:
    for lr in ("1e-3", "3e-3", "3e-4"):
        make_run(tmp_path, ["block=sas", f"optimiser.lr={lr}"], falling(4.0))
    usual = ["model.d_ff=96", "optimiser.weight_decay=0.05", "optimiser.grad_clip=2", "train.val_sequences=8"]
    for block, words in (("pre_ln", ["model.activation=gelu"]), ("v_skipinit", ["model.activation=swiglu", *usual])):
        make_run(tmp_path, [f"block={block}", *words], falling(4.0))
    found = comparison(runs_of(tmp_path), as_given=False)
    names = [variant.name for variant in found.variants]
    assert names[0].startswith("pre_ln") and names[-1].startswith("v_skipinit")
    assert [name for name in names if name.startswith("sas")] == ["sas, lr=0.0003", "sas", "sas, lr=0.003"]
    said = next(note for note in notes_of(found) if note.startswith("Where a name does not say: "))
    assert "optimiser.lr=0.001" in said and max(len(name) for name in names[:-1]) < 40


def test_variants_on_two_texts_are_told_by_their_text(tmp_path: Path) -> None:
    """An edit of the text makes another variant of the same settings: `sas (1)` and `sas (2)` say nothing."""
    for text in ("0123456789abcdef", "fedcba9876543210"):
        folder = make_run(tmp_path / text, ["block=sas"], falling(4.0))
        about = json.loads((folder / "run.json").read_text())
        about["identity"]["data"]["corpus"], about["id"] = text, text[:10]
        (folder / "run.json").write_text(json.dumps(about))
        folder.rename(tmp_path / f"sas-gpt_nano-{text[:10]}")
    names = {variant.name for variant in group(runs_of(tmp_path))[0]}
    assert names == {"corpus=01234567", "corpus=fedcba98"}
