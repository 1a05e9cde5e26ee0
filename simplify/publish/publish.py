"""Puts a comparison into W&B: a report, and its table and figures as an artifact."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.errors import UserError
from simplify.publish.spec import Axis, library, report_spec
from simplify.runs.mirror import Asked, asked, look_up
from simplify.runs.settings import NO_PART, flat, varied_words
from simplify.runs.store import RunView
from simplify.runs.wandb_client import connect, entity_of, find, settings, talking, tear_down
from simplify.runs.wandb_client import library as client

_PATIENCE = 120  # seconds for the figures to arrive


@dataclass(frozen=True)
class Published:
    """Where a comparison went: the report's address, and how many of its runs W&B has."""

    url: str
    shown: int
    missing: Sequence[str]  # names of runs that W&B does not have


def publish(
    name: str,
    title: str,
    lines: Sequence[str],
    table_markdown: str,
    files: Sequence[Path],
    runs: Sequence[RunView],
    baseline: str | None = None,
    axis: Axis = "step",
    project: str | None = None,
    entity: str | None = None,
) -> Published:
    """Publish the comparison called `name` (of a sweep): the same name again changes what is there.

    The runs are to be there already (`simplify sync`). Raises UserError without the extra, where no run
    is there or the runs belong to several projects; UploadError without a key or a network.
    """
    library()  # the missing extra is said before anything is sent
    server = connect()
    try:
        with talking():
            wanted = [asked(run.folder, run.config, run.about, None, project, entity) for run in runs if run.about]
            home = _home(server, wanted)
            there = {run.folder.run_id: look_up(server, run) for run in wanted}
            ids = [copy.wandb_id for copy in there.values() if copy.exists]
            if not ids:
                raise UserError("report --wandb: W&B has none of the runs; simplify sync uploads them")
            by = grouped_by([run.config for run in wanted])
            spec = report_spec(home.project, home.entity, title, lines, table_markdown, ids, baseline, axis, by)
            url = _put(server, home, name, spec, table_markdown, files)
    finally:
        tear_down()
    return Published(url, len(ids), [r.name for r in runs if r.run_id not in there or not there[r.run_id].exists])


def grouped_by(configs: Sequence[Mapping[str, Any]]) -> str | None:
    """The setting that alone tells variants apart, as a chart can group by it; None where several do.

    Grouped by one of several, lines would be means over different variants.
    """
    keys = {key for row in varied_words(configs) for key in row} - NO_PART
    key = keys.pop() if keys else "block"
    if keys:
        return None
    if "." not in key:
        return f"{key}.name"
    is_group = any(isinstance(flat(config).get(key), Mapping) for config in configs)
    return f"words.{key}" if is_group else key


@dataclass(frozen=True)
class Home:
    """Where in W&B a report lies."""

    project: str
    entity: str


def _home(server: Any, wanted: Sequence[Asked]) -> Home:
    """The one project that all the runs belong to."""
    homes = {(run.project, entity_of(server, run.entity)) for run in wanted}
    if len(homes) > 1:
        found = ", ".join(sorted(f"{entity}/{project}" for project, entity in homes))
        raise UserError(f"report --wandb: the runs belong to several projects ({found}); choose runs of one")
    if not homes:
        raise UserError("report --wandb: none of the runs has begun")
    return Home(*homes.pop())


def _put(server: Any, home: Home, name: str, spec: Any, table: str, files: Sequence[Path]) -> str:
    """Save the report, and remember its id in a small run that has the artifact; returns the report's address."""
    wandb = client()
    slug = re.sub(r"[^A-Za-z0-9_.-]", "-", name)[:100]
    run_id = f"report-{slug}"
    before = find(server, f"{home.entity}/{home.project}/{run_id}")
    spec.id = before.config.get("report_id", "") if before is not None else ""
    spec.save()
    with tempfile.TemporaryDirectory(prefix="simplify-report-", ignore_cleanup_errors=True) as local:
        run = wandb.init(
            mode="online",
            id=run_id,
            resume="allow",
            name=run_id,
            project=home.project,
            entity=home.entity,
            job_type="report",
            config={"report_id": spec.id, "report_url": spec.url},
            dir=local,
            settings=settings(_PATIENCE),
        )
        artifact = wandb.Artifact(run_id, type="report", description=spec.title)
        (Path(local) / "table.md").write_text(table, encoding="utf-8")
        for path in [Path(local) / "table.md", *files]:
            artifact.add_file(str(path), name=path.name)
        run.log_artifact(artifact).wait(_PATIENCE)
        run.finish()
    return spec.url
