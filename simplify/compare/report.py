"""A report over runs: one page, figures for paper, the table in three forms, all numbers as JSON. Written from run
folders alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simplify.compare.asked import as_data
from simplify.compare.benched import colours_of, labels_of
from simplify.compare.canvas import FORMATS, NotDrawn
from simplify.compare.checklist import as_markdown
from simplify.compare.comparison import Comparison, Row
from simplify.compare.draw import draw_panels
from simplify.compare.forms import markdown
from simplify.compare.latex import latex_table
from simplify.compare.look import problems_of
from simplify.compare.notes import notes_of
from simplify.compare.options import ReportOptions
from simplify.compare.page import write_page
from simplify.compare.sections import OVERVIEW, drawn_of, sections_of
from simplify.compare.shared import said_first
from simplify.compare.speed_chart import InReport, draw_speed
from simplify.compare.tables import rows_of
from simplify.compare.tuned_table import HEADS
from simplify.compare.tuned_tables import row_numbers, tuning_numbers
from simplify.compare.variants import unused_labels
from simplify.display import tell_lacking
from simplify.runs.files import read_json, write_json, write_whole
from simplify.runs.shapes import Name, Shape

_MANIFEST = "report.json"


class Manifest(Shape):
    """report.json of a report's folder: what it may take away."""

    files: list[Name]


@dataclass(frozen=True)
class Written:
    """What a report came to: its files, and what could not be drawn."""

    files: list[Path]
    problems: list[str]


def write_report(found: Comparison, options: ReportOptions, out: Path) -> Written:
    """Write everything into `out`, and take away what an earlier report left there.

    Raises OSError, also where a file of that name is there which no report wrote.
    """
    out.mkdir(parents=True, exist_ok=True)
    drawn = drawn_of(found, options)
    printed = rows_of(found, options.paper, keys=options.columns)
    heads = said_first(found, options.asked)
    tex, problems = latex_table(found, heads, options.columns, options.look.width, options.paper)
    lacking = [key for key in options.columns if key in HEADS] if found.tuning is None else []
    problems += [f"column {key}: is of a tuned sweep alone" for key in lacking]
    problems += problems_of(options.look, {variant.label for variant in found.variants})
    problems += unused_labels(found.variants, {k: v for k, v in options.labels.items() if k not in drawn.words})
    earlier = set((read_json(out / _MANIFEST, Manifest) or {}).get("files", []))
    texts = {
        out / "table.md": markdown(printed, [*heads, *notes_of(found, options.paper, options.columns)]),
        out / "table.tex": tex,
    }
    texts |= {out / "checklist.md": as_markdown(options.checklist)} if options.checklist else {}
    files = [out / "index.html", *texts]
    pictures = {name: [out / f"{name}{suffix}" for suffix in _suffixes(name)] for name in drawn.printed}
    if options.speed is not None:
        pictures["speed"] = [out / f"speed{suffix}" for suffix in FORMATS]
    files += [path for paths in pictures.values() for path in paths]
    names = [path.name for path in files]
    _refuse_strangers(out, names, earlier)
    _keep_numbers(out, found, options, [*names, *sorted(earlier - set(names))])  # first: a half report can be replaced
    write_page(sections_of(found, options, drawn, heads), options.title, options.about, files[0])
    for path, text in texts.items():
        write_whole(path, text)
    for name, panels in drawn.printed.items():
        width = options.look.width if len(panels) == 1 else None
        with _each_for_itself(pictures[name]):
            draw_panels(panels, "", pictures[name], width, options.look)
    if options.speed is not None:
        names_of_it = labels_of(found, options.speed, options.labels)
        within = InReport(options.look, colours_of(found, options.speed), names_of_it)
        for path in pictures["speed"]:
            with _each_for_itself([path]):
                draw_speed(options.speed, path, within)
    for name in earlier - set(names):
        if name == Path(name).name:
            (out / name).unlink(missing_ok=True)
    files = [path for path in files if path.exists()]
    _keep_numbers(out, found, options, [path.name for path in files])
    return Written([*files, out / _MANIFEST], [*drawn.problems, *problems])


@contextlib.contextmanager
def _each_for_itself(paths: Sequence[Path]) -> Iterator[None]:
    """A picture that cannot be drawn is a line, and the rest is written."""
    try:
        yield
    except NotDrawn as problem:
        for path in paths:
            path.unlink(missing_ok=True)  # an older one would show something else
        tell_lacking(f"{paths[0].stem}: not drawn: {problem}")


def _suffixes(name: str) -> Sequence[str]:
    return FORMATS[:1] if name == OVERVIEW else FORMATS


def _refuse_strangers(out: Path, names: Sequence[str], ours: set[str]) -> None:
    """What no report wrote is not written over."""
    wanted = [*names, *([] if ours else [_MANIFEST])]  # ours names files, always
    foreign = [name for name in wanted if name not in ours and (out / name).exists()]
    if foreign:
        raise FileExistsError(f"it holds {foreign[0]}, which no report wrote")


def _keep_numbers(out: Path, found: Comparison, options: ReportOptions, names: Sequence[str]) -> None:
    rows = [{**numbers(row), "tuned": row_numbers(row, found)} for row in found.rows]
    told = {"title": options.title, "about": options.about, "command": options.command, "margin": found.margin}
    told |= {"files": list(names), "tuning": tuning_numbers(found)}
    told |= {"said_first": said_first(found, options.asked), "sweeps": [asdict(sweep) for sweep in options.asked]}
    write_json(out / _MANIFEST, {**told, "rows": rows})


def numbers(row: Row) -> dict[str, Any]:
    """A row for programs."""
    gap, costs = row.gap, row.variant.costs
    return {
        "variant": row.variant.name,
        "block": row.variant.block,
        "baseline": row.base.name if row.base else None,
        "runs": {run.run_id: run.state for run in row.variant.runs},
        "loss": None if row.loss is None else {"mean": row.loss[0], "sd": row.loss[1]},
        "losses": {run.run_id: run.last.get("val/loss") for run in row.variant.done},
        "verdict": row.verdict,
        "judged": None if row.judged is None else {**vars(row.judged), "seeds": list(map(as_data, row.judged.seeds))},
        "difference": None if gap is None else {**vars(gap)},
        "parameters": costs.parameters if costs else None,
        "training_flops_a_token": costs.training_flops if costs else None,
        "tokens_per_sec_ratio": None if row.speed is None else {**vars(row.speed)},
        "speed_of": None if row.speed is None else "bench" if row.benched else "runs side by side",
        "speed_verdict": row.speed_verdict or None,
        "peak_mem_ratio": None if row.memory is None else {**vars(row.memory)},
        **{
            f"{name}_to_baseline_ratio": None if part is None else {**vars(part)}
            for name, part in (
                ("steps", row.reach.step if row.reach else None),
                ("seconds", row.reach.seconds if row.reach else None),
            )
        },
        "diverged": len(row.variant.diverged),
    }
