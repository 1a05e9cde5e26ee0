"""What reviewers ask by checklist, answered from run folders alone: error bars, compute, search, software.

The questions are those of the NeurIPS paper checklist (items 6 to 8) and of the ACL's Responsible NLP checklist (C1 to
C4) with its predecessor, the reproducibility checklist (Dodge et al., arXiv 1909.03004). What no run folder can know,
such as whether the data may be used, is not here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from simplify.compare.comparison import Comparison
from simplify.compare.page import Table
from simplify.compare.shared import said_of_all
from simplify.compare.statistics import LEVEL
from simplify.compare.tuned_notes import tuned_notes
from simplify.compare.variants import devices_of
from simplify.config import show
from simplify.runs.settings import flat
from simplify.runs.store import RunView
from simplify.runs.words import as_word, in_order

_SOFTWARE = ("simplify", "python", "torch", "tokenizers", "numpy")


@dataclass(frozen=True)
class Answer:
    """One item of a checklist."""

    item: str  # where it is asked, as in NeurIPS 7
    asks: str
    says: tuple[str, ...]


def checklist(found: Comparison, project: Sequence[RunView], search: Sequence[str] = ()) -> list[Answer]:
    """All answers. `project`: every run of the run root, of whatever state; `search`: how values were tuned."""
    runs = [run for variant in found.variants for run in variant.done]
    search = [*search, *tuned_notes(found, ())]
    return [
        Answer("NeurIPS 6, ACL C2", "setting: data, budget, settings", _setting(found, runs)),
        Answer(
            "NeurIPS 6, ACL C2", "search: bounds of each setting, number of runs, how chosen", _search(found, search)
        ),
        Answer("NeurIPS 7, ACL C3", "error bars: what varies, how many runs, how computed", _error_bars(found)),
        Answer(
            "NeurIPS 8, ACL C1", "compute: parameters, machines, each run, the whole project", _compute(found, project)
        ),
        Answer("ACL C4", "software", _software(runs)),
    ]


def as_markdown(answers: Iterable[Answer]) -> str:
    """The whole checklist."""
    parts = ["# Checklist", "Filled in from run folders; what is not in them is not here."]
    for answer in answers:
        parts += [f"## {answer.item}: {answer.asks}", "\n".join(f"- {line}" for line in answer.says)]
    return "\n\n".join(parts) + "\n"


def checklist_table(answers: Iterable[Answer]) -> Table:
    """The whole checklist for the page."""
    rows = [[answer.item, answer.asks, line] for answer in answers for line in answer.says]
    return Table("", [["asked in", "about", "answer"], *rows])


def _setting(found: Comparison, runs: Sequence[RunView]) -> tuple[str, ...]:
    lines = [said_of_all(runs or [run for variant in found.variants for run in variant.runs])]
    lines += sorted({line for run in runs if (line := _data_line(run))})
    same: dict[str, set[str]] = {}
    for run in runs:
        for key, value in (run.config.get("optimiser") or {}).items():
            same.setdefault(key, set()).add(show(value))
    told = [
        f"{key}={values.pop() if len(values) == 1 else ' or '.join(in_order(values))}" for key, values in same.items()
    ]
    return (*lines, *([f"optimiser: {', '.join(told)}"] if told else []))


def _data_line(run: RunView) -> str:
    """The corpus as the run has noted it."""
    corpus = run.about.get("corpus") or {}
    if not corpus.get("tokens"):
        return ""
    sizes = ", ".join(
        f"{name} {corpus['tokens'][name]:,} tokens of {corpus['documents'][name]:,} documents"
        for name in corpus["tokens"]
    )
    held = corpus.get("held_out")
    left = corpus.get("left_out") or {}
    out = f"; left out: {', '.join(f'{number} {why}' for why, number in left.items())}" if left else ""
    return f"data: {corpus['name']}: {sizes}{f'; held out {held}' if held else ''}{out}"


def _search(found: Comparison, search: Sequence[str]) -> tuple[str, ...]:
    values: dict[str, set[str]] = {}
    for variant in found.variants:
        for key in variant.cells:
            values.setdefault(key, set()).update(as_word(flat(v.config).get(key)) for v in found.variants)
    compared = [f"{key}: {', '.join(in_order(map(str, found)))}" for key, found in values.items() if key != "block"]
    lines = [*search] or [
        "no setting was tuned in these runs; whether values were chosen by other runs before is not in the folders"
    ]
    lines += [f"compared, all values in the table: {'; '.join(compared)}"] if compared else []
    done = sum(len(variant.done) for variant in found.variants)
    return (*lines, f"runs in the table: {done} finished of {sum(len(v.runs) for v in found.variants)}")


def _error_bars(found: Comparison) -> tuple[str, ...]:
    runs = [run for variant in found.variants for run in variant.done]
    seeds: dict[str, set[Any]] = {"init": set(), "data": set()}
    for run in runs:
        for name, value in (run.about.get("identity") or {}).get("seeds", {}).items():
            seeds.setdefault(name, set()).add(value)
    names = {"init": "the initial weights", "data": "the order of the batches"}
    varied = [names.get(name, name) for name, own in seeds.items() if len(own) > 1]
    fixed = [names.get(name, name) for name, own in seeds.items() if len(own) == 1]
    counts = in_order(str(len(variant.done)) for variant in found.variants)
    lines = [f"factors of variability: {' and '.join(varied)}" if varied else "no variability: one seed"]
    lines += [f"the same in all runs: {' and '.join(fixed)}"] if fixed and varied else []
    lines += [
        f"runs of each variant: {' or '.join(counts)}, all of them counted; a diverged one is named, never left out"
    ]
    paired = {row.gap.paired for row in found.rows if row.gap is not None}
    if True in paired:
        lines.append("differences are paired by seed: same batches in the same order, same shared initial weights")
    if paired:
        kind = "of the mean of the pairs" if paired == {True} else "of the difference of means (Welch)"
        kind = f"{kind}; for pairs of their mean" if len(paired) == 2 else kind
        lines.append(
            f"error bars of differences: two-sided {LEVEL:.0%} Student t intervals {kind}, in closed form (SciPy)"
        )
        lines.append("assumption: the differences are normally distributed over seeds; not checked at these numbers")
    lines.append("± behind a loss: the sample standard deviation over seeds (n - 1), not the standard error")
    return tuple(lines)


def _compute(found: Comparison, project: Sequence[RunView]) -> tuple[str, ...]:
    lines = [_parameters(found)]
    machines = sorted({line for variant in found.variants for run in variant.done if (line := _machine(run))})
    lines += [f"machine: {machine}" for machine in machines]
    for variant in found.variants:
        hours = [hours_of(run) for run in variant.done]
        if hours:
            least, most = _hours(min(hours)), _hours(max(hours))
            spread = most if max(hours) < 1.05 * min(hours) else f"{least} to {most}"
            lines.append(f"{variant.name}: {_runs(len(hours))} of {spread} device hours")
    table = math.fsum(hours_of(run) for variant in found.variants for run in variant.done)
    lines.append(
        f"runs in the table: {_hours(table)} device hours, which here count start-up and lost steps of every attempt"
    )
    states = [run.state for run in project]
    others = {state: states.count(state) for state in dict.fromkeys(states) if state != "done"}
    told = ", ".join(f"{number} {state}" for state, number in others.items())
    whole = math.fsum(map(hours_of, project))
    lines.append(
        f"the whole project, every run of this run root, preliminary and failed ones too: {_runs(len(project))}"
        f"{f' ({told})' if told else ''}, {_hours(whole)} device hours"
    )
    return tuple(lines)


def _hours(value: float) -> str:
    return f"{value:.3g}" if value >= 0.001 else "under 0.001"


def _runs(number: int) -> str:
    return f"{number} run{'s'[: number != 1]}"


def _parameters(found: Comparison) -> str:
    told = [f"{variant.name} {variant.costs.parameters:,}" for variant in found.variants if variant.costs]
    return f"parameters: {', '.join(told)}"


def hours_of(run: RunView) -> float:
    """Device hours that a run has taken: the time of all its attempts, those too whose steps were lost."""
    known = [(attempt.get("started"), attempt.get("ended")) for attempt in run.folder.attempts()]
    spent = math.fsum(_seconds(start, end) for start, end in known)
    trained = float(run.last.get("seconds") or 0.0)
    return max(spent, trained) * (devices_of(flat(run.config)) if run.config else 1) / 3600


def _seconds(start: Any, end: Any) -> float:
    try:
        return max((datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(start))).total_seconds(), 0.0)
    except (ValueError, TypeError):  # still running, or killed: what it logged counts
        return 0.0


def _machine(run: RunView) -> str:
    device = run.about.get("device") or {}
    threads = (
        f", CPU threads {device['cpu_threads']}" if device.get("kind") == "cpu" and device.get("cpu_threads") else ""
    )
    memory = run.last.get("peak_mem_gib")
    peak = f", peak memory {memory:.2g} GiB" if isinstance(memory, (int, float)) and device.get("kind") != "cpu" else ""
    name = device.get("name")
    return f"{name}{threads}, {device.get('precision', '?')}{peak}" if name else ""


def _software(runs: Sequence[RunView]) -> tuple[str, ...]:
    lines: list[str] = []
    for name in _SOFTWARE:
        found = in_order({str((run.about.get("versions") or {}).get(name)) for run in runs} - {"None"})
        lines += [f"{name} {' or '.join(found)}"] if found else []
    commits = sorted({str((run.about.get("git") or {}).get("commit"))[:12] for run in runs} - {"None"})
    dirty = any((run.about.get("git") or {}).get("dirty") for run in runs)
    lines += [f"commit {', '.join(commits)}{' with changes, kept as patches' if dirty else ''}"] if commits else []
    return tuple(lines)
