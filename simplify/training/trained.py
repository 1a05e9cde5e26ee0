"""A trained model to work with: its loss on a text, and text of its own."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from simplify.data.tokenisers import encode_text, end_of_text
from simplify.errors import ConfigError, DataError
from simplify.runs.folder import RunFolder
from simplify.training.device import device_kind
from simplify.training.evaluate import TextLoss, nats_of
from simplify.training.restored import Restored, restore_run
from simplify.training.sample import sample_text


@dataclass(frozen=True)
class Trained(Restored):
    """A model in eval mode in fp32 on a device, with its tokeniser. `model(ids)` gives logits (B, T, vocabulary)."""

    def loss(self, text: str, stride: int | None = None) -> TextLoss:
        """What `text` costs as a document: after an end-of-text token, each of its tokens predicted once.

        A long text is read in windows of model.seq_len tokens, `stride` apart (default: half of it). Raises ConfigError
        for an encoder or a stride that is none, DataError where there is no text.
        """
        context = self.config.model.seq_len
        stride = max(context // 2, 1) if stride is None else stride
        if self.config.model.kind == "encoder":
            raise ConfigError("eval: this run is an encoder (model.kind=encoder), which gives a text no probability")
        if not 1 <= stride <= context:
            raise ConfigError(f"--stride={stride}: valid: 1 to {context}, the model's context (model.seq_len)")
        tokens = encode_text(self.tokeniser, text)
        if not tokens:
            raise DataError("eval: the text is empty; valid: a text of at least one token")
        nats = nats_of(self.model, [end_of_text(self.tokeniser), *tokens], context, stride)
        return TextLoss(nats, len(tokens), len(text.encode("utf-8", "surrogatepass")))

    def generate(
        self, prompt: str = "", n_tokens: int = 200, temperature: float = 0.8, top_k: int | None = 50, seed: int = 0
    ) -> str:
        """`prompt` and what the model makes of it; temperature 0 takes the likeliest token. Ends with the document.

        Raises ConfigError for an encoder.
        """
        pieces = sample_text(self, prompt, n_tokens, temperature, top_k, seed, warnings.warn)
        return "".join([prompt, *pieces])


def load_trained(folder: RunFolder, device: str = "auto") -> Trained:
    """The newest checkpoint of a run on `device`: auto (cuda, else mps, else cpu), cuda, mps or cpu.

    Opens no corpus. Raises RunFolderError without a checkpoint, ConfigError where there is no such device.
    """
    restored = restore_run(folder, folder.config())
    restored.model.to(device_kind(device)).eval()
    return Trained(**vars(restored))
