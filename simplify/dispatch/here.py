"""Train a run here and now, in this process, or in this one and others like it."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplify.config import RunConfig
from simplify.data.batches import Batches
from simplify.data.corpus import Corpus, open_corpus
from simplify.dispatch.namesakes import namesakes_line, refuse_another_text
from simplify.display import tell
from simplify.errors import AlreadyRunning, Interrupted, RunFolderError, SimplifyError
from simplify.program import loading
from simplify.runs.code import git_silence, save_patch
from simplify.runs.facts import is_training, read_facts
from simplify.runs.folder import RunFolder, root_path, run_root
from simplify.runs.folders import read_folders
from simplify.runs.identity import folder_name, identity, label, run_id
from simplify.runs.process import BEAT_EVERY, is_local, silent_for
from simplify.runs.provenance import provenance
from simplify.runs.queue import Job
from simplify.training.world import World, world_of_environment

if TYPE_CHECKING:
    from simplify.training.signals import StopRequest

_SILENCE = 3.5 * BEAT_EVERY  # seconds without a heartbeat after which another host's process counts as dead


_GO, _DONE = "go", "done"  # what process 0 tells the others; anything else is why they leave


@dataclass(frozen=True)
class Outcome:
    """How a run stands after the command."""

    folder: RunFolder
    result: dict[str, Any]
    already_done: bool


@dataclass(frozen=True)
class Terms:
    """How a run is to be trained."""

    command: list[str]
    force: bool = False  # rename an existing folder and start afresh
    origin: Mapping[str, Any] | None = None  # the lane, or the element of a Slurm array; kept with the attempt
    max_stalled: int | None = None
    asked: Job | None = None  # as it was frozen for a queue
    repeated: Path | None = None  # the folder whose config.yaml is trained again


def train_here(config: RunConfig, terms: Terms) -> Outcome:
    """Train `config`, or continue it, or say that it is done.

    Torch is loaded only if there is something to train. Of several processes (torchrun, a job's tasks)
    process 0 decides; the others return its outcome without a result.
    """
    from simplify.training.signals import StopRequest  # no torch in it

    world = world_of_environment()
    with StopRequest() as stop:
        root = root_path(config.run_root)
        if next(root.glob("*/run.json"), None) is None:
            run_root(config)  # said before a corpus is made
        corpus = open_corpus(config.data, masked=config.model.kind == "encoder")
        identifier = run_id(config, corpus.facts.fingerprint)
        if terms.asked is not None and identifier != terms.asked.run_id:
            raise _another_run(config, terms.asked, identifier, corpus.facts.fingerprint)
        mine = identity(config, corpus.facts.fingerprint)
        if terms.repeated is not None:
            refuse_another_text(terms.repeated, mine)
        folders = read_folders(root)
        folder = folders.find(identifier, folder_name(config, identifier))
        if not folder.path.exists() and world.leads and (line := namesakes_line(folders, label(config), mine)):
            tell(line)
        for note in folders.notes(identifier):
            tell(note)
        if not terms.force and (done := folder.done()) is not None:
            return Outcome(folder, done, already_done=True)  # also where nothing may be written
        run_root(config)
        if world.leads:
            tell(corpus.line(config.data.name))
        world.micro_batch(config)  # said before anybody waits for anybody
        world.join()
        place = _Place(config, corpus, folder, world, terms)
        outcome = place.lead(stop) if world.leads else place.follow(stop)
    world.leave()
    return outcome


def _another_run(config: RunConfig, asked: Job, identifier: str, corpus: str) -> RunFolderError:
    """What was asked for is not what would be trained here by now."""
    then = f"corpus {asked.corpus}" if asked.corpus else f"run {asked.run_id}"
    now = f"corpus {corpus}" if asked.corpus else f"run {identifier} on corpus {corpus}"
    if asked.corpus == corpus:  # the same text: a code that tells runs apart in another way
        then, now = f"run {asked.run_id}", f"run {identifier} on the same corpus"
    return RunFolderError(
        f"{asked.name}: was asked for as {then}, but data={config.data.name} comes to {now} here (text or tokeniser "
        "changed since, another Python, another machine, other code); restore what it was asked for with and "
        f"simplify retry {asked.run_id}, or ask for the run as it is now{_how(asked.command)}"
    )


def _how(command: Sequence[str]) -> str:
    """The words that asked, as they are typed; none where they were `retry`, which asks for what was."""
    words = command[1:]
    return " with the command that first asked" if words[:1] == ["retry"] else f": {shlex.join(['simplify', *words])}"


@dataclass(frozen=True)
class _Place:
    """What a process has found before it trains."""

    config: RunConfig
    corpus: Corpus
    folder: RunFolder
    world: World
    terms: Terms

    def lead(self, stop: StopRequest) -> Outcome:
        """Process 0: see that the run is ours to train, tell the others, train and write."""
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self.folder.lock())
                if not self.terms.force and (done := self.folder.done()) is not None:
                    self.world.share(_DONE)
                    return Outcome(self.folder, done, already_done=True)
                _check_predecessor(self.folder)
                batches = Batches(self.corpus, self.config)
                self._clear()
            except (SimplifyError, OSError) as error:
                self.world.share(str(error))
                raise
            self.world.share(_GO)
            return Outcome(self.folder, self._train(batches, stop), already_done=False)

    def follow(self, stop: StopRequest) -> Outcome:
        """Any other process: train where process 0 does."""
        word = self.world.share(None)
        if word not in (_GO, _DONE):
            raise Interrupted(f"process {self.world.rank}: leaves with process 0: {word}")
        try:
            if word == _GO:
                self._train(Batches(self.corpus, self.config), stop)
        except Interrupted as stopped:  # process 0 says so; an exit code other than 0 would have it killed as it saves
            if not stopped.signal:
                raise
        return Outcome(self.folder, {}, already_done=word == _DONE)

    def _clear(self) -> None:
        if self.terms.force and self.folder.path.exists():
            old = self.folder.set_aside()
            tell(f"--force: the old folder is now {old}")
        if silence := git_silence():
            tell(silence)
        save_patch(self.folder.path.parent)

    def _train(self, batches: Batches, stop: StopRequest) -> dict[str, Any]:
        with loading("torch"):
            from simplify.training.run import train_run
        from simplify.training.task import Task

        facts = {
            **provenance(self.terms.command),
            "identity": identity(self.config, self.corpus.facts.fingerprint),
            "corpus": self.corpus.record(self.config.data.name),
        }
        task = Task(
            *(self.config, self.folder, self.corpus.facts, batches, facts, self.corpus.tokeniser_path),
            origin=self.terms.origin or {},
            max_stalled=self.terms.max_stalled,
            world=self.world,
        )
        return train_run(task, stop)


def _check_predecessor(folder: RunFolder) -> None:
    """Raise AlreadyRunning where another host's process still trains the run although we hold its lock.

    Not every shared disk has locks that reach other hosts. Where a cluster starts a run anew because a
    node seemed dead, its last heartbeat may be fresh: it is given the time of a few beats to show itself.
    """
    facts = read_facts(folder.path)
    if facts.attempt is None or is_local(facts.attempt) or not is_training(facts, folder.path):
        return
    first, end = _last_beat(folder), time.monotonic() + _SILENCE
    tell(
        f"{folder.path.name}: was trained on {facts.attempt['host']} a moment ago; waiting for a sign of life",
    )
    while time.monotonic() < end:
        time.sleep(1)
        if _last_beat(folder) > first + 1:
            raise AlreadyRunning(f"{folder.path}: is being trained on {facts.attempt['host']}; leaving it to that one")


def _last_beat(folder: RunFolder) -> float:
    return time.time() - (silent_for(folder.heartbeat) or 0.0)
