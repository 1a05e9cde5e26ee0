"""How long the runs of a plan will take on this machine, by what is known of it."""

from __future__ import annotations

from dataclasses import replace

from simplify.config import RunConfig
from simplify.display import tell_aside
from simplify.machine import slots
from simplify.runs.precision import Answer, Speed, auto_on_cpu
from simplify.runs.store import RunStore
from simplify.sweep.estimate import Estimate, Terms, estimate_times
from simplify.sweep.measured import measure_bf16
from simplify.sweep.places import place_of
from simplify.sweep.plan import Plan, PlannedRun
from simplify.sweep.seen import seen_in
from simplify.sweep.steps import Time


def lanes_of(plan: Plan) -> int:
    """Lanes that train the plan's runs."""
    lanes = max((run.config.cluster.lanes or 0 for run in plan.runs), default=0)
    return len(slots(lanes or None, any(run.config.train.device in ("auto", "cuda") for run in plan.runs)))


def auto_precision(plan: Plan, keep: bool = False) -> Answer | None:
    """What train.precision=auto is for the runs that have not begun; None where none of them asks for it.

    `keep`: hold all that begin in this run root to it (`simplify.runs.precision`).
    """
    begins = ("new", "queued", "cancelled")
    asked = [run.config for run in plan.runs if run.state in begins and run.config.train.precision == "auto"]
    on_cpu = [config for config in asked if _is_on_cpu(config)]
    if on_cpu:
        return auto_on_cpu(plan.root, on_cpu[0], _measure, keep)
    return Answer("bf16", "where the GPU has it, else fp32") if asked else None


def _is_on_cpu(config: RunConfig) -> bool:
    return config.cluster.kind == "local" and place_of(config).kind == "cpu"


def _measure() -> Speed | None:
    tell_aside("measuring whether this processor is faster in bf16, once: some seconds")
    return measure_bf16()


def estimate(plan: Plan, measure: bool, auto: Answer | None = None) -> Estimate:
    """The time of each run that is not done; the others cost nothing any more. `auto`: as `auto_precision` says."""
    ahead = [run for run in plan.runs if run.state != "done"]
    here = [run.config for run in ahead if _is_local(run)]
    views = RunStore(plan.root).runs() if here else []
    found = Estimate(())
    if here:
        own = sum(view.state == "running" for view in views) * float(place_of(here[0], lanes_of(plan)).threads or 1)
        terms = Terms(lanes_of(plan), seen_in(plan.root, views), measure, own_load=own, note=_say_aside)
        terms = replace(terms, auto=auto.precision) if auto else terms
        found = estimate_times(here, terms)
    times, spent = iter(found.times), {view.run_id: view.share for view in views if view.state not in ("new", "done")}
    nothing = Time.around(0.0, "budget", 1.0)
    whole = [nothing if run.state == "done" else next(times) if _is_local(run) else None for run in plan.runs]
    left = [time and time.times(1 - _spent(run, spent)) for run, time in zip(plan.runs, whole, strict=True)]
    elsewhere = (
        "how long runs take on the cluster's nodes is not measured from here" if len(here) < len(ahead) else None
    )
    return Estimate(tuple(left), "; ".join(filter(None, (found.problem, elsewhere))) or None, found.load)


def _spent(run: PlannedRun, spent: dict[str, float]) -> float:
    """How much of a run is trained, from 0 to 1: one that has begun goes on from its checkpoint."""
    return spent.get(run.folder.run_id, 0.0) if run.folder else 0.0


def _is_local(run: PlannedRun) -> bool:
    return run.config.cluster.kind == "local"


def _say_aside(text: str) -> None:
    tell_aside(text)  # --json has standard output for itself
