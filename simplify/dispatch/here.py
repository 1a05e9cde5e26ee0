"""Train a run here and now, in this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simplify.config import RunConfig
from simplify.data.batches import Batches
from simplify.data.corpus import open_corpus
from simplify.runs.code import save_patch
from simplify.runs.folder import RunFolder, find_folder, run_root
from simplify.runs.identity import identity, label, run_id
from simplify.runs.provenance import provenance


@dataclass(frozen=True)
class Outcome:
    """How a run stands after the command."""

    folder: RunFolder
    result: dict[str, Any]
    already_done: bool


def train_here(config: RunConfig, command: list[str], force: bool = False, lane: str | None = None) -> Outcome:
    """Train `config`, or continue it, or say that it is done.

    `force` renames an existing folder and starts afresh; `lane` is the name of the lane that asked.
    Torch is loaded only if there is something to train.
    """
    from simplify.training.signals import StopRequest  # no torch in it

    with StopRequest() as stop:
        root = run_root(config)
        corpus = open_corpus(config.data, masked=config.model.kind == "encoder")
        identifier = run_id(config, corpus.facts.fingerprint)
        folder = find_folder(root, identifier, label(config))
        if not force and (done := folder.done()) is not None:
            return Outcome(folder, done, already_done=True)
        with folder.lock():
            if not force and (done := folder.done()) is not None:
                return Outcome(folder, done, already_done=True)
            batches = Batches(corpus, config)
            from simplify.training.run import Task, train_run

            if force and folder.path.exists():
                old = folder.set_aside()
                print(f"--force: the old folder is now {old}", flush=True)
            save_patch(root)
            facts = {**provenance(command), "identity": identity(config, corpus.facts.fingerprint)}
            result = train_run(Task(config, folder, corpus.facts, batches, facts, lane), stop)
    return Outcome(folder, result, already_done=False)
