"""The runs that `watch` stays with: those chosen, and all that tuned sweeps among them ask for meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence

from simplify.cli.advance import go_on
from simplify.cli.study import block_words
from simplify.display import tell
from simplify.errors import SimplifyError
from simplify.runs.store import RunStore, RunView
from simplify.runs.studies import added_runs
from simplify.sweep.advance import Standing, standing

_AGAIN = 30.0  # seconds until a step that came to nothing is tried again
_PATIENCE = 10.0  # seconds for a lane that is about to take the step


class Followed:
    """Looks at runs, and lets the tuned sweeps among them go on where nothing else does."""

    def __init__(self, store: RunStore, run_ids: Sequence[str], studies: Sequence[str] = ()) -> None:
        self._store, self._chosen, self._studies = store, run_ids, studies
        self._at: dict[str, Standing] = {}
        self._seen: list[tuple[str, str]] | None = None  # of the last look
        self._known: set[str] = set()
        self._failed, self._problems = 0.0, dict[str, str]()

    @property
    def ids(self) -> list[str]:
        """Every run that is watched."""
        added = (one.run_id for name in self._studies for one in added_runs(self._store.root, name))
        return [*dict.fromkeys([*self._chosen, *added])]

    @property
    def words(self) -> list[str]:
        """How far each block is."""
        return [line for at in self._at.values() for line in block_words(at)]

    @property
    def answers(self) -> set[str]:
        """Runs that have ended with a result, as the tuned sweeps see it: also where that is no loss."""
        return {at.trials[trial].run_id for at in self._at.values() for trial in at.results}

    @property
    def goes_on(self) -> bool:
        """Whether a tuned sweep is about to begin something."""
        return any(at.may_go_on and name not in self._problems for name, at in self._at.items())

    @property
    def is_done(self) -> bool:
        """Whether no tuned sweep waits for anything."""
        return all(at.decision.phase == "done" for at in self._at.values())

    def look(self) -> list[RunView]:
        """The runs as they are now."""
        runs = self._store.runs(self.ids)
        seen = [(run.run_id, run.state) for run in runs]
        again = bool(self._problems) and time.monotonic() - self._failed > _AGAIN
        if self._studies and (seen != self._seen or again or self.goes_on):
            self._seen = seen
            for name in self._studies:
                self._step(name, again)
            runs = self._store.runs(self.ids)
        return runs

    def _step(self, name: str, again: bool) -> None:
        try:
            at = standing(self._store.root, name)
            if at.may_go_on and (again or name not in self._problems):
                at, _ = go_on(self._store.root, name)
            self._problems.pop(name, None)
            self._at[name] = at
        except SimplifyError as error:
            if self._problems.get(name) != str(error):
                tell(f"{name}: {error}")
            self._problems[name], self._failed = str(error), time.monotonic()

    def news(self) -> list[str]:
        """What has become known of the blocks since this was last asked."""
        words = self.words
        fresh = [line for line in words if line not in self._known]
        self._known.update(words)
        return fresh
