"""Building a corpus: tokens, documents and facts, in a folder aside that is renamed when it is whole.

Under a lock, so that two runs that start together share it. Tokens are made in parts (`parts.py`), each copied to the
end of train.bin or val.bin and removed: one file to map, whatever the size, and no second copy of it on the disk. A
killed build goes on with the next part.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np

from simplify.config import DataConfig
from simplify.data.account import Account, CorpusFacts
from simplify.data.joined import Damaged, Joined
from simplify.data.parts import Part, Work, cut, part_size, remove_unfinished, whole_parts, write_part
from simplify.data.patience import awake
from simplify.data.source import Source
from simplify.data.splits import SPLITS
from simplify.data.tokeniser_training import CUT_NOTE, cuts_words, train_tokeniser
from simplify.data.tokenisers import load_tokeniser, open_tokeniser
from simplify.disk import whole_file
from simplify.display import short_time, tell
from simplify.display.progress import Meter, meter
from simplify.errors import DataError
from simplify.locks import Taken, acquire, holder


def build_once(config: DataConfig, source: Source, folder: Path, masked: bool, workers: int = 1) -> None:
    """Build a corpus in `folder`, or wait for the process that is building it. Raises OSError, DataError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f"{folder.name}.lock")
    try:
        lock = acquire(path)
    except Taken:
        tell(f"data: {holder(path)} is building this corpus; waiting for it")
        lock = acquire(path, math.inf)
    with lock:
        if (folder / "meta.json").is_file():
            return
        aside = folder.with_name(f".{folder.name}.building")
        if not (aside / "meta.json").is_file():  # else it was killed just before the renaming
            try:
                _build(config, source, aside, masked, workers)
            except BaseException:
                _tidy(aside)
                raise
        shutil.rmtree(aside / "parts", ignore_errors=True)
        (aside / "plan.json").unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)


def _tidy(aside: Path) -> None:
    """Of a build that failed only whole parts stay, and nothing if there are none."""
    if not any((aside / "parts").glob("*.json")):
        shutil.rmtree(aside, ignore_errors=True)


def _build(config: DataConfig, source: Source, aside: Path, masked: bool, workers: int) -> None:
    with meter(f"data: {config.name}", None) as progress:
        survey = source.survey(lambda text: progress.update(0, text))
    source, step = survey.source, part_size(survey.source)
    _begin(source, aside, step)
    parts, training = cut(source, step), not (aside / "tokenizer.json").is_file() and config.tokeniser is None
    learnt = min(source.size("train"), config.tokeniser_documents or source.size("train")) if training else 0
    with meter(f"data: {config.name}", float(learnt + sum(part.end - part.first for part in parts))) as progress:
        _tokeniser(config, source, aside, masked, learnt, progress)
        dtype = np.dtype(np.uint16 if config.vocab_size <= 2**16 else np.uint32)
        work = Work(source, aside / "parts", aside / "tokenizer.json", dtype.name)
        there = sum(work.facts(part) is not None for part in parts)
        if there:
            progress.note(f"data: {config.name}: {there} of {len(parts)} parts are there already")
        joined, done = Joined(aside, dtype), learnt

        def beat(part: Part, seconds: float) -> None:
            progress.update(done, f"tokenising {part.name}, {short_time(seconds)}")

        with closing(whole_parts(work, parts, workers, beat)) as whole:  # whatever happens, no worker outlives our lock
            for number, part in enumerate(whole, 1):
                _join(joined, work, part)
                done += part.end - part.first
                progress.update(done, f"tokenising {part.split}, {number} of {len(parts)} parts")
        progress.update(done, "checking what was written", force=len(parts) > 99)
        notes = (*survey.notes, *_tokeniser_notes(config, work.tokeniser))
        account = Account(survey.held_out, survey.left_out, notes, survey.whole, survey.by_name)
        _finish(aside, joined, source, dtype, account)


def origin_hash(source: Source) -> str:
    """Changes when files that stand for a corpus of the hub do."""
    return hashlib.sha256(source.origin().encode("utf-8", "surrogateescape")).hexdigest()


def _begin(source: Source, aside: Path, step: int) -> None:
    """An empty folder, unless one was begun for the same documents, cut alike, by the same tokeniser library."""
    plan = {
        "sizes": {split: source.size(split) for split in SPLITS},
        "documents_a_part": step,
        "origin": origin_hash(source),
        "tokenizers": importlib.metadata.version("tokenizers"),
    }
    try:
        begun = json.loads((aside / "plan.json").read_text())
    except (OSError, ValueError):
        begun = None
    if begun != plan:
        shutil.rmtree(aside, ignore_errors=True)  # of other documents, or not whole: we hold the lock
        (aside / "parts").mkdir(parents=True)
        _write(aside / "plan.json", json.dumps(plan))
    remove_unfinished(aside / "parts")


def _tokeniser(config: DataConfig, source: Source, aside: Path, masked: bool, documents: int, progress: Meter) -> None:
    """tokenizer.json, trained on the first `documents` or loaded, unless an earlier attempt has made it."""
    path = aside / "tokenizer.json"
    if path.is_file():
        return
    if config.tokeniser is None:
        read = _Read(source, config.tokeniser_documents)
        note = lambda text: progress.note(f"data: {config.name}: {text}")  # noqa: E731
        tokeniser = awake(
            lambda: train_tokeniser(config, read.documents, documents, masked, note),
            lambda seconds: progress.update(read.count, f"training the tokeniser, {short_time(seconds)}"),
        )
    else:
        tokeniser = load_tokeniser(_with_own_tokeniser(config, source), masked)
    _write(path, tokeniser.to_str(pretty=True))  # its own save raises a bare Exception on a full disk


def _tokeniser_notes(config: DataConfig, path: Path) -> Iterator[str]:
    """What is to be said of the tokeniser that a corpus was made with."""
    tokeniser = open_tokeniser(path)
    if config.tokeniser is None and cuts_words(tokeniser):
        yield CUT_NOTE
    if (size := tokeniser.get_vocab_size()) < config.vocab_size:
        yield (
            f"the tokeniser has {size:,} of data.vocab_size={config.vocab_size} tokens, so that "
            f"{config.vocab_size - size:,} rows of the embedding stand for none"
        )


def _with_own_tokeniser(config: DataConfig, source: Source) -> DataConfig:
    """Files that stand for a data set of the hub may bring the tokeniser along."""
    beside = Path(source.origin().partition("\n")[0]) / "tokenizer.json"
    if source.origin() and beside.is_file():
        return config.model_copy(update={"tokeniser": str(beside)})
    return config


class _Read:
    """The documents that a tokeniser is trained on, and how many of them have been read."""

    def __init__(self, source: Source, most: int | None) -> None:
        self._source, self._most, self.count = source, most, 0

    def documents(self) -> Iterator[str]:
        """From the first one on."""
        for self.count, text in enumerate(islice(self._source.documents("train"), self._most), 1):  # noqa: B020
            yield text


def _join(joined: Joined, work: Work, part: Part) -> None:
    try:
        joined.add(work, part)
    except Damaged:  # on the disk, since it was written: once more
        work.forget(part)
        write_part(work, open_tokeniser(work.tokeniser), part)
        joined.add(work, part)


def _finish(aside: Path, joined: Joined, source: Source, dtype: np.dtype[np.unsignedinteger], account: Account) -> None:
    for split in SPLITS:
        with whole_file(aside / f"{split}.docs.npy") as out:
            np.save(out, joined.document_starts(split))
    try:
        checked = joined.check()
    except Damaged as damage:
        shutil.rmtree(aside, ignore_errors=True)
        raise DataError(
            f"{aside.parent}: {damage} of a corpus was changed or damaged on the disk while it was built; the same "
            "command builds it from the beginning"
        ) from None
    shares = checked.counts[checked.counts > 0] / max(checked.counts.sum(), 1)
    facts = CorpusFacts(
        fingerprint=checked.fingerprint,
        train_tokens=joined.tokens("train"),
        val_tokens=joined.tokens("val"),
        val_bytes=joined.text_bytes("val"),
        train_documents=joined.documents("train"),
        val_documents=joined.documents("val"),
        unigram_entropy=float(-(shares * np.log(shares)).sum()),
    )
    folder = source.origin().partition("\n")[0] or None
    files = {"from": folder, "files": origin_hash(source)}
    beside = {"dtype": dtype.name, "sha256": checked.sha256, **files, "account": asdict(account)}
    _write(aside / "meta.json", json.dumps({**asdict(facts), **beside}, indent=1))


def _write(path: Path, text: str) -> None:
    with whole_file(path) as out:
        out.write(text.encode("utf-8", "surrogateescape"))
