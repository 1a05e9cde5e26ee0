"""`simplify status`, `logs` and `why`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simplify.cli.eta import Eta
from simplify.cli.select import Selected, select
from simplify.cli.study import say_studies, say_waiting, study_data
from simplify.cli.table import counted, in_order_of_settings, print_runs
from simplify.display import answer, is_heard, say, short_time, tell, tell_aside
from simplify.errors import RunFolderError
from simplify.machine import slots
from simplify.runs.files import is_full
from simplify.runs.folder import root_path
from simplify.runs.lookup import find_view
from simplify.runs.process import silent_for
from simplify.runs.queue import Queue
from simplify.runs.store import RunStore, RunView
from simplify.runs.studies import answers_in, is_answer


def status_command(words: Sequence[str], run_root: Path | None, as_json: bool) -> None:
    """How the chosen runs stand."""
    chosen = select(words, run_root)
    if as_json:
        tuned = [study_data(chosen.store.root, record) for record in chosen.studies]
        answer("status", {"runs": [run.row() for run in chosen.runs], **({"tuned": tuned} if tuned else {})})
        return
    states = [*(run.state for run in chosen.runs), *("new" for _ in chosen.unstarted)]
    if not states:
        none = "no runs here" if words else "no runs yet (--run-root DIR looks elsewhere)"
        tell(f"{chosen.title}: {none}")
    else:
        runs = chosen.runs if chosen.sweeps else in_order_of_settings(chosen.runs)
        print_runs(runs, f"{chosen.title}: {counted(states)}", chosen.unstarted)
        if needs := Eta(chosen.store).of(chosen.runs):
            say(f"{chosen.title}: {needs}")
        say_what_is_wrong(chosen)
    say_studies(chosen.store.root, chosen.studies)
    if not words:
        say_waiting(chosen.store.root)


def say_what_is_wrong(chosen: Selected) -> None:
    """A line for each failed run, and what to do about runs that nobody works on."""
    troubled = [run for run in chosen.runs if run.state in ("failed", "lost")]
    answers = answers_in(chosen.store.root) if troubled else ()
    troubled = [run for run in troubled if not is_answer(run.run_id, run.facts.error, answers)]
    for run in troubled[:10]:
        say(f"{run.name}: {run.state}: {cause(run)}")
    if troubled:
        more = f"; {len(troubled) - 10} more" if len(troubled) > 10 else ""
        say(f"simplify why RUN shows more, simplify retry trains them again from their checkpoints{more}")
    queued = [run for run in chosen.runs if run.waits_for_lane]
    if not queued:
        return
    alive, wanted = len(Queue(chosen.store.root).lanes()), _lanes_wanted(queued)
    gone, first = why_no_lane(chosen.store.root)
    if not alive:
        say(f"{len(queued)} queued, but no lane works on them ({gone}); {first}simplify retry goes on")
    elif alive < wanted:
        say(f"{alive} of {wanted} lanes work (the others: {gone}); {first}simplify retry starts them again")


def why_no_lane(root: Path) -> tuple[str, str]:
    """Why lanes are missing, as far as they or the disk tell, and what has to be done before others start."""
    if is_full(root):
        return f"the disk of {root} is full", "make space, then "
    said = "; ".join(Queue(root).last_words().values())
    return said or "killed, or the machine was restarted", ""


def _lanes_wanted(queued: Sequence[RunView]) -> int:
    """As many lanes as the waiting runs ask for; one a GPU where they do not say."""
    said = max((run.config.get("cluster", {}).get("lanes") or 0 for run in queued), default=0)
    uses_gpus = any(run.config.get("train", {}).get("device") in ("auto", "cuda") for run in queued)
    return min(len(slots(said or None, uses_gpus)), len(queued))


def cause(run: RunView) -> str:
    """Why a run failed or is lost, in a line."""
    if run.state == "lost":
        silent = silent_for(run.folder.heartbeat)
        ago = f", {short_time(silent)} ago" if silent is not None else ""
        return f"its process is gone without a word (kill -9, power, restart){ago}"
    error = run.facts.error or {}
    return f"{error.get('cause', 'exception')}: {error.get('message', 'no reason was written down')}"


def why_command(word: str, run_root: Path | None, as_json: bool) -> None:
    """Why a run stands as it does, and what to type."""
    run = find_view(word, root_path(str(run_root) if run_root else None))
    said = cause(run) if run.state in ("failed", "lost") else run.note
    if as_json:
        answer("why", {**_why_data(run), "why": said or None})
        return
    tell(f"{run.name}: {run.state}" + (f": {said}" if said else ""))
    for number, attempt in enumerate((run.facts.job or {}).get("attempts", []), start=1):
        error = f": {attempt['error'].get('message')}" if attempt.get("error") else ""
        ended = _how_it_ended(attempt, run)
        where = f"process {attempt['pid']} on {attempt['host']}"
        where += f", job {attempt['slurm']} on {attempt['node']}" if attempt.get("slurm") else ""
        tell(f"attempt {number}: {attempt['started']}, {where}, from step {attempt['from_step']}{ended}{error}")
    for line in (run.facts.error or {}).get("traceback", []):
        tell(f"    {line}")
    if run.last:
        shown = {k: v for k, v in run.last.items() if k in ("step", "train/loss", "val/loss", "grad_norm", "lr")}
        tell("last metrics: " + ", ".join(f"{key} {value:.6g}" for key, value in shown.items() if value is not None))
    for label, path in (("log", run.folder.log), ("metrics", run.folder.metrics_path), ("Slurm's output", run.out)):
        if path is not None and path.exists():
            tell(f"{label}: {path}")
    for line in _what_to_type(run):
        tell(line)


def _why_data(run: RunView) -> dict[str, Any]:
    files = {"folder": run.folder.path, "log": run.folder.log, "metrics": run.folder.metrics_path, "slurm": run.out}
    return {
        **run.told(),
        "error": run.facts.error,
        "attempts": (run.facts.job or {}).get("attempts", []),
        "files": {name: str(path) for name, path in files.items() if path is not None and path.exists()},
        "to_type": _what_to_type(run),
    }


def _how_it_ended(attempt: Mapping[str, Any], run: RunView) -> str:
    if attempt.get("how"):
        return f", {attempt['how']}"
    newest = attempt is (run.facts.attempt or {})
    return "" if newest and run.state == "running" else ", gone without a word"


def _what_to_type(run: RunView) -> list[str]:
    config = run.folder.path / "config.yaml"
    alone: list[str] = []
    here = ["--here"] if run.config.get("cluster", {}).get("kind") == "slurm" else []
    if config.exists():
        words = ["simplify", "train", *here, "--config", str(config)]
        words.append(f"run_root={_quoted(str(run.folder.path.parent))}")
        alone = [f"in the foreground: {shlex.join(words)}"]
    if run.state in ("failed", "lost", "stopped", "cancelled"):
        begun = any(run.folder.checkpoints.glob("*.json"))
        again = f"again, {'from its last checkpoint' if begun else 'from the start'}: simplify retry {run.run_id}"
        root = run.folder.path.parent
        again += "" if root == root_path(None) else f" --run-root {shlex.quote(str(root))}"
        why = (run.facts.error or {}).get("cause")
        if why == "out_of_memory" and here:
            again += " --set cluster.mem=..."
        if why == "non_finite":
            again += "; as it stands it will come to the same, and another optimiser.lr makes another run"
        return [again, *alone]
    if run.waits_for_lane:
        alive = Queue(run.folder.path.parent).lanes()
        if alive:
            return ["waits for a lane: simplify status"]
        gone, first = why_no_lane(run.folder.path.parent)
        return [f"no lane works on it ({gone}): {first}simplify retry goes on"]
    if run.state in ("queued", "unknown"):
        return [f"out of the queue: simplify cancel {run.run_id}"]
    return alone if run.state != "running" else [f"watch it: simplify logs -f {run.run_id}"]


def _quoted(value: str) -> str:
    """A value in Hydra's grammar: quoted if it holds anything that the grammar knows."""
    if all(c.isalnum() or c in "/._-+" for c in value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def logs_command(word: str, run_root: Path | None, follow: bool) -> None:
    """What a run has printed; `follow` stays until it ends."""
    run = find_view(word, root_path(str(run_root) if run_root else None))
    if not run.folder.log.exists() and not (follow and run.is_active):
        raise RunFolderError(
            f"{run.name}: has no log.txt ({run.state}); a lane writes one, a run in the foreground prints to its "
            f"terminal; its numbers are in {run.folder.metrics_path}"
        )
    if not run.folder.log.exists():
        tell_aside(
            f"{run.name}: {run.state}{f' ({run.note})' if run.note else ''}; waiting for its first line",
        )
    position = 0
    while True:
        active = follow and _is_active(run)  # asked before reading: what it writes last is not missed
        position = _print_from(run.folder.log, position)
        if not active or not is_heard():
            return
        time.sleep(0.5)


def _is_active(run: RunView) -> bool:
    (now,) = RunStore(run.folder.path.parent).runs([run.run_id]) or [run]
    return now.is_active


def _print_from(log: Path, position: int) -> int:
    try:
        with open(log, "rb") as file:
            file.seek(position)
            data = file.read()
    except OSError:
        return position
    whole = data.rfind(b"\n") + 1 or len(data)  # no half of a character
    tell(data[:whole].decode("utf-8", "replace"), end="")
    return position + whole
