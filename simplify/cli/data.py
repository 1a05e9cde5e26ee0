"""`simplify data prepare`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.choices import choices, overlay_dir
from simplify.compose import compose_run
from simplify.config import DataConfig, nearest
from simplify.data.corpus import Corpus, open_corpus, ready_corpus
from simplify.data.files import local_files
from simplify.display import answer, answer_alone, tell
from simplify.errors import ConfigError, DataError
from simplify.machine import cores


@dataclass(frozen=True)
class Asked:
    """What was typed behind `data prepare`."""

    name: str
    words: Sequence[str]
    conf: Path | None
    files: Path | None  # --from
    workers: int | None
    check: bool


def data_command(what: str, asked: Asked, as_json: bool) -> None:
    """Prepare what `asked` names."""
    if what != "prepare":
        raise ConfigError(f"data {what}: {nearest(what, ['prepare'])}valid: simplify data prepare NAME")
    known = preparations(asked.conf)
    if asked.name not in known:
        raise ConfigError(f"data prepare {asked.name}: {nearest(asked.name, list(known))}valid: {', '.join(known)}")
    with answer_alone(as_json):
        found = known[asked.name](asked)
    if as_json:
        answer("data", {"name": asked.name, **found})


def preparations(conf: Path | None) -> dict[str, Callable[[Asked], dict[str, Any]]]:
    """What can be prepared, and how."""
    return {**dict.fromkeys(choices("data", overlay_dir(conf)), prepare_corpus), "glue": prepare_tasks}


def prepare_corpus(asked: Asked) -> dict[str, Any]:
    """Fetch and tokenise a corpus, or say that it is there; returns what is known of it."""
    config = compose_run([f"data={asked.name}", *asked.words], asked.conf)
    masked = config.model.kind == "encoder"
    files = local_files(asked.files) if asked.files is not None else None
    if files is not None:
        tell(f"data: {files}")
    if asked.check and files is None:
        corpus = _ready(config.data, masked)
    else:
        corpus = open_corpus(config.data, masked, files, asked.workers or cores())
    if asked.check:
        corpus.check()
    facts = corpus.facts
    tell(corpus.line(config.data.name))
    entries = corpus.tokeniser().get_vocab_size()
    unused = f" of data.vocab_size={config.data.vocab_size}" if entries < config.data.vocab_size else ""
    tell(f"vocabulary {entries:,}{unused}")
    checked = ", checked" if asked.check else ""
    tell(f"fingerprint {facts.fingerprint}{checked}; {corpus.folder}")
    if not facts.val_tokens:
        raise DataError(
            f"data={config.data.name}: none of these documents is held out, so no run can be validated; prepare "
            "it with more text, or with a larger data.val_fraction that its runs are given too"
        )
    record = corpus.record(config.data.name)
    chosen = {key: record[key] for key in ("held_out", "left_out", "notes")}
    about = {**vars(facts), "vocabulary": entries, **chosen}
    return {"corpus": about, "folder": str(corpus.folder), "checked": asked.check}


def _ready(config: DataConfig, masked: bool) -> Corpus:
    """A corpus that is to be checked: it is not downloaded for that."""
    corpus = ready_corpus(config, masked)
    if corpus is None:
        raise DataError(
            f"data={config.name}: is not prepared on this machine, so there is nothing to check; valid: --check after "
            f"simplify data prepare {config.name}"
        )
    return corpus


def prepare_tasks(asked: Asked) -> dict[str, Any]:
    """Fetch the tasks of GLUE, or say that they are there; returns what was said."""
    if asked.words or asked.workers:
        what = asked.words[0] if asked.words else f"--workers {asked.workers}"
        raise ConfigError(
            f"{what}: has no meaning with data prepare glue, which tokenises nothing; valid: --from, --check"
        )
    from simplify.finetune.prepare import prepare_glue

    told: list[str] = []
    for line in prepare_glue(asked.files, asked.check):
        tell(line)
        told.append(line)
    return {"tasks": told, "checked": asked.check}
