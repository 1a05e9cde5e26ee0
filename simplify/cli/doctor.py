"""`simplify doctor`: what a cluster has, what it does to jobs, and whether runs can live there."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from simplify.choices import conf_dir, overlay_dir
from simplify.cli.fit import plain
from simplify.compose import compose_run
from simplify.config import ClusterConfig, differing
from simplify.dispatch.site import Look, Site, look_at_site, look_from_node
from simplify.dispatch.slurm import refuse_without_slurm
from simplify.display import answer, answer_alone, console, tell
from simplify.errors import ConfigError, TrainingFailed
from simplify.machine import VISIBLE, listed_gpus, slots, threads_of_a_lane
from simplify.runs.folder import run_root

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,40}")


def doctor_command(words: Sequence[str], conf: Path | None, write: str | None, job: bool, as_json: bool) -> None:
    """Show the facts; `write` makes them a cluster file. Exit code 1 where runs could not live there."""
    config = compose_run(list(words), conf)
    if write is not None and (config.cluster.kind != "slurm" or not _NAME.fullmatch(write)):
        raise ConfigError(f"--write {write}: valid: a name of letters, digits, - and _, together with cluster=slurm")
    root = run_root(config)
    if config.cluster.kind == "local":
        if as_json:
            answer("doctor", _machine())
        else:
            _show_machine()
        return
    refuse_without_slurm(root)
    site = look_at_site()
    with answer_alone(as_json):
        look = _show_site(site, config.cluster, root, job)
        if write is not None:
            _write(write, config.cluster, site, overlay_dir(conf), look)
    if as_json:
        answer(
            "doctor", {"cluster": asdict(site), "facts": [*facts(site)], "node": look and asdict(look), "root": root}
        )
    if look is not None and look.problem:
        raise TrainingFailed("storage", "doctor: a job could not do what a run has to do; see above")


def _show_site(site: Site, cluster: ClusterConfig, root: Path, job: bool) -> Look | None:
    """What it has, and what a node sees."""
    _show_partitions(site)
    for line in facts(site):
        tell(line)
    look = look_from_node(cluster, root) if job else None
    if look is not None:
        tell(_seen(look, root))
        if not look.problem:
            tell(_next_phases(look))
    return look


def facts(site: Site) -> Iterator[str]:
    """What a user has to know of the cluster, a line each."""
    known = site.settings
    yield f"Slurm {known.get('SLURM_VERSION', '?')}, cluster {known.get('ClusterName', '?')}"
    yield f"arrays: up to {site.max_array_size} runs each; longer sweeps are split"
    yield (
        "accounting: sacct tells how jobs ended"
        if site.accounting
        else f"accounting: none; how a job ended is known for {known.get('MinJobAge', '?')} and then by the run's files"
    )
    yield (
        "preemption: runs get USR2 and save"
        if site.sends_signal
        else "preemption: runs get SIGTERM and save, and ask to be requeued"
    )
    yield f"after SIGTERM (scancel, time limit): {known.get('KillWait', '?')} to save a checkpoint in"
    refused = "" if known.get("JobRequeue") == "1" else " (the cluster's default is not to requeue; runs ask for it)"
    yield f"requeued jobs may begin again after {site.requeue_seconds} s{refused}"


def _show_partitions(site: Site) -> None:
    heads = ("partition", "time limit", "nodes", "CPUs", "memory MB", "GRES", "preempted by")
    rows: list[tuple[str, ...]] = [heads]
    for p in site.partitions:
        name = p.name + ("*" if p.default else "") + ("" if p.up else " (down)")
        grace = f"{p.preempt}, {p.grace} s to save" if p.preempt not in ("OFF", "?") else p.preempt
        rows.append((name, p.limit, p.nodes, p.cpus, p.memory, p.gres, grace))
    console().print(plain(rows, left=heads))


def _seen(look: Look, root: Path) -> str:
    if look.problem:
        return f"from a node: FAILED: {look.problem} (the run root is {root})"
    gpus = f"{look.gpus} GPU{'s' if look.gpus != 1 else ''}"
    return f"from a node ({look.node}): {root} can be written; Python {look.python}, torch {look.torch}, {gpus}"


def _next_phases(look: Look) -> str:
    """Who submits the later phases of a tuned sweep."""
    if not look.no_sbatch:
        return "jobs may submit jobs: a tuned sweep goes on by itself, phase after phase"
    return (
        f"jobs may not submit jobs ({look.no_sbatch}): a tuned sweep goes on while simplify watch FILE stays with it "
        "on this node, or when its command is typed again"
    )


def _write(name: str, cluster: ClusterConfig, site: Site, overlay: Path | None, look: Look | None) -> None:
    """A cluster file from what was typed, what the partition has, and what the node saw."""
    wanted = next(
        (p for p in site.partitions if p.name == cluster.partition or (not cluster.partition and p.default)), None
    )
    settings = {key: value for key, value in differing(cluster).items() if key != "name"}
    if wanted is not None:
        settings.setdefault("partition", wanted.name)
        if wanted.limit not in ("infinite", "n/a"):
            settings.setdefault("timeout", wanted.limit)
        if "gpu" in wanted.gres and not cluster.gres and (look is None or look.gpus):
            settings.setdefault("gpus_per_node", 1)
    ClusterConfig.model_validate({**settings, "name": name})  # what we write can be read
    folder = (overlay or Path("conf").resolve()) / "cluster"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    if path.exists():
        raise ConfigError(f"--write {name}: {path} is there already; valid: another name, or remove it first")
    head = f"# Slurm cluster {site.settings.get('ClusterName', '?')}, partition {settings.get('partition', '?')}\n"
    path.write_text(head + yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    more = "" if folder.parent in (conf_dir(), overlay) else f" --conf {shlex.quote(str(folder.parent))}"
    tell(f"{path}: written; use it with cluster={name}{more}")


def _machine() -> dict[str, Any]:
    return {"cores": threads_of_a_lane(1), "lanes": [asdict(slot) for slot in slots(None)], "gpus": len(listed_gpus())}


def _show_machine() -> None:
    found, said = slots(None), os.environ.get(VISIBLE)
    there = len(listed_gpus())
    narrowed = "" if said is None else f" ({VISIBLE}={said}, and {there or 'no'} GPU{'s' if there != 1 else ''} here)"
    tell(
        f"this machine: {threads_of_a_lane(1)} cores; one lane on each of: "
        f"{', '.join(slot.device for slot in found)}{narrowed}"
    )
