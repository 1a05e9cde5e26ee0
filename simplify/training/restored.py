"""A trained model from its run folder, which is all that it takes: no corpus is opened."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from simplify.config import RunConfig
from simplify.data.corpus import Corpus, ready_corpus
from simplify.data.tokenisers import Tokenizer, read_tokeniser
from simplify.display import tell
from simplify.errors import DataError, RunFolderError
from simplify.runs.folder import RunFolder
from simplify.training import checkpoint
from simplify.zoo.model import Transformer


@dataclass(frozen=True)
class Restored:
    """What a run came to, or has come to so far."""

    folder: RunFolder
    config: RunConfig
    model: Transformer
    tokeniser: Tokenizer
    step: int

    def corpus(self) -> Corpus:
        """The corpus it was trained on, for those who need its text. Raises DataError, RunFolderError."""
        return _trained_on(self.folder, self.config)


def restore_run(folder: RunFolder, config: RunConfig) -> Restored:
    """The newest checkpoint of a run, on the CPU in fp32. Raises RunFolderError if there is none, or no tokeniser."""
    saved = checkpoint.newest(folder.checkpoints, folder.run_id, tell)
    if saved is None:
        raise RunFolderError(f"{folder.path}: has no checkpoint yet; train it first, then run this again")
    tokeniser = _tokeniser(folder, config)
    model = Transformer(config.block, config.model, config.data.vocab_size)
    model.load_state_dict(saved.state["model"])
    return Restored(folder, config, model, tokeniser, saved.step)


def _tokeniser(folder: RunFolder, config: RunConfig) -> Tokenizer:
    """The folder's own; of a run begun by an earlier version its corpus', which is then kept in the folder."""
    try:
        found = read_tokeniser(folder.tokeniser_path)
    except (OSError, ValueError):  # of an earlier version, or damaged since
        try:
            corpus = _trained_on(folder, config)
        except DataError as error:
            raise RunFolderError(
                f"{folder.tokeniser_path}: cannot be read, and its corpus cannot be opened instead: {error}"
            ) from None
        with contextlib.suppress(OSError):  # a folder that may only be read
            folder.keep_tokeniser(corpus.tokeniser_path)
        return read_tokeniser(corpus.tokeniser_path)
    largest = max(found.get_vocab().values(), default=0)
    if largest >= config.data.vocab_size:
        raise RunFolderError(
            f"{folder.tokeniser_path}: has tokens up to {largest}, the model those below {config.data.vocab_size}: it "
            "is another tokeniser; remove the file, and the one of the corpus is taken"
        )
    return found


def _trained_on(folder: RunFolder, config: RunConfig) -> Corpus:
    corpus = ready_corpus(config.data, masked=config.model.kind == "encoder")
    if corpus is None:
        raise DataError(f"data={config.data.name}: is not on this machine; simplify data prepare {config.data.name}")
    identity = folder.about().get("identity") or {}
    trained_on = identity.get("data", {}).get("corpus")
    if trained_on != corpus.facts.fingerprint:
        raise RunFolderError(
            f"{folder.path}: was trained on corpus {trained_on}, but data={config.data.name} is now "
            f"{corpus.facts.fingerprint} (another Python, or changed files); restore the text it was trained on"
        )
    return corpus
