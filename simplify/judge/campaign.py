"""A campaign: its candidates in the order in which they were proposed, as its ledger tells them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simplify.errors import ConfigError, RunFolderError
from simplify.judge.ledger import Ledger
from simplify.judge.rule import LOOKS, Answer, Standing, share
from simplify.runs.folder import now

DEFAULT = "main"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,40}")


@dataclass(frozen=True)
class Candidate:
    """One candidate: a change against a baseline, with seeds of its own."""

    number: int  # its place in the campaign
    counts_as: int  # its place without those that were kept, which decides its share
    share: float  # of the campaign's error
    least: float  # nats by which it has to be better
    looks: tuple[int, ...]
    words: tuple[str, ...]
    baseline: tuple[str, ...]
    keys: tuple[str, str]  # what tells the two configurations from others, without seeds
    seeds: tuple[int, ...]  # as many as the last look has
    code: str  # hash of the code at its opening
    looked: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)  # the lines of its looks

    @property
    def answer(self) -> Answer | None:
        """The answer; None while it is open."""
        return self.looked[-1]["answer"] if self.looked else None

    @property
    def next_look(self) -> int | None:
        """The number of pairs at the next look; None once it is answered."""
        done = self.looked[-1]["pairs"] if self.looked else 0
        return None if self.answer is not None else next((look for look in self.looks if look > done), None)


class Campaign:
    """The candidates of a campaign below a run root. Whoever changes it holds `lock_path`."""

    def __init__(self, root: Path, name: str = DEFAULT) -> None:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"--campaign {name}: valid: up to 41 letters, digits, - and _, as in --campaign width")
        self.root, self.name = root, name
        self.ledger = Ledger(_folder(root) / f"{name}.jsonl")

    def candidates(self) -> list[Candidate]:
        """All candidates. Raises RunFolderError where the ledger was changed, or is gone."""
        found: dict[int, dict[str, Any]] = {}
        looked: dict[int, list[dict[str, Any]]] = {}
        for line in self.ledger.read():
            if line.get("event") == "candidate":
                found[line.get("number", 0)] = line
            elif line.get("event") == "look":
                looked.setdefault(line.get("number", 0), []).append(line)
        if not found and (left := self._records()):
            raise RunFolderError(
                f"{self.ledger.path}: is gone, although {left[0]} tells of its candidates; restore it, or begin "
                "another campaign with --campaign NAME"
            )
        try:
            return [_candidate(line, looked.get(number, [])) for number, line in found.items()]
        except (KeyError, TypeError, ValueError):
            raise RunFolderError(
                f"{self.ledger.path}: holds a candidate that this version cannot read; go on with the one that "
                "wrote it, or begin another campaign with --campaign NAME"
            ) from None

    def open(
        self, words: Sequence[str], baseline: Sequence[str], keys: tuple[str, str], told: Mapping[str, Any]
    ) -> Candidate:
        """One more candidate, on the disk when this returns. `told`: its looks, seeds, `least`, hash of the code."""
        before = self.candidates()
        counts_as = 1 + sum(one.answer != "keep" for one in before)
        line = {
            "event": "candidate",
            "number": len(before) + 1,
            "counts_as": counts_as,
            "share": share(counts_as),
            **told,
            "candidate": list(words),
            "baseline": list(baseline),
            "keys": list(keys),
            "at": now(),
        }
        self.ledger.append(line)
        return _candidate(line, [])

    def look(self, candidate: Candidate, found: Standing, told: Mapping[str, Any]) -> None:
        """Note what a look came to; nothing where another process was faster. `told`: its numbers and their price."""
        mine = next(one for one in self.candidates() if one.number == candidate.number)
        if mine.next_look != found.pairs:
            return
        line = {"event": "look", "number": candidate.number, **vars(found), **told, "at": now()}
        self.ledger.append(line)

    def kept_last(self) -> Candidate | None:
        """The candidate that was kept last: the natural baseline of the next one."""
        return next((one for one in reversed(self.candidates()) if one.answer == "keep"), None)

    def _records(self) -> list[str]:
        """The records of its candidates' runs."""
        own = re.compile(re.escape(self.record_name("")) + r"\d+\.json")
        return sorted(path.name for path in (self.root / ".sweeps").glob("judge-*.json") if own.fullmatch(path.name))

    def record_name(self, number: int | str) -> str:
        """The name of a candidate's runs as a sweep."""
        return f"judge-{self.name}-{number}"


def lock_path(root: Path) -> Path:
    """The lock of all ledgers of a run root: no two candidates take one seed."""
    return root / ".locks" / "judge.lock"


def seeds_of_ledgers(root: Path) -> set[int]:
    """The seeds that any campaign of the run root has taken, also where a ledger was changed."""
    found: set[int] = set()
    for path in _folder(root).glob("*.jsonl"):
        found |= {seed for one in Campaign(root, path.stem).candidates() for seed in one.seeds}
    return found


def fresh_seeds(number: int, taken: Iterable[int], first: int) -> list[int]:
    """The next seeds from `first` on that are not `taken`."""
    gone, found, seed = set(taken), list[int](), first
    while len(found) < number:
        if seed not in gone:
            found.append(seed)
        seed += 1
    return found


def looks_of(typed: str | None) -> tuple[int, ...]:
    """The planned looks. Raises ConfigError."""
    if typed is None:
        return LOOKS
    words = typed.split(",")
    looks = [int(word) for word in words if word.strip().isascii() and word.strip().isdigit()]
    if len(looks) != len(words) or looks != sorted(set(looks)) or not 2 <= looks[0] <= looks[-1] <= 1000:
        raise ConfigError(f"--looks {typed}: valid: ascending numbers of pairs from 2 on, as in --looks 3,5,8,16")
    return tuple(looks)


def _folder(root: Path) -> Path:
    return root / ".judge"


def _candidate(line: Mapping[str, Any], looked: Sequence[Mapping[str, Any]]) -> Candidate:
    looks, words, baseline, seeds = (tuple(line[name]) for name in ("looks", "candidate", "baseline", "seeds"))
    ours = (line["number"], line["counts_as"], line["share"], line["least"])
    first, second = line["keys"]
    return Candidate(*ours, looks, words, baseline, (first, second), seeds, line["code"], tuple(looked))
