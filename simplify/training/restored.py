"""A trained model from its run folder, with the corpus it was trained on."""

from __future__ import annotations

from dataclasses import dataclass

from simplify.config import RunConfig
from simplify.data.corpus import Corpus, open_corpus
from simplify.errors import RunFolderError
from simplify.runs.folder import RunFolder
from simplify.training import checkpoint
from simplify.zoo.model import Transformer


@dataclass(frozen=True)
class Restored:
    """What a run came to, or has come to so far."""

    config: RunConfig
    model: Transformer
    corpus: Corpus
    step: int


def restore_run(folder: RunFolder, config: RunConfig) -> Restored:
    """The newest checkpoint of a run, on the CPU in fp32. Raises RunFolderError if there is none.

    Also if the corpus has changed since: token numbers would mean other text.
    """
    saved = checkpoint.newest(folder.checkpoints, folder.run_id, print)
    if saved is None:
        raise RunFolderError(f"{folder.path}: has no checkpoint yet; train it first, then run this again")
    corpus = open_corpus(config.data, masked=config.model.kind == "encoder")
    identity = folder.about().get("identity") or {}
    trained_on = identity.get("data", {}).get("corpus")
    if trained_on != corpus.facts.fingerprint:
        raise RunFolderError(
            f"{folder.path}: was trained on corpus {trained_on}, but data={config.data.name} is now "
            f"{corpus.facts.fingerprint} (another Python, or changed files); restore the text it was trained on"
        )
    model = Transformer(config.block, config.model, config.data.vocab_size)
    model.load_state_dict(saved.state["model"])
    return Restored(config, model, corpus, saved.step)
