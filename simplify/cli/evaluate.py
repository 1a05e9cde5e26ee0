"""`simplify eval`."""

from __future__ import annotations

import sys
from pathlib import Path

from simplify.disk import expanded
from simplify.display import answer, tell
from simplify.errors import DataError
from simplify.program import loading
from simplify.runs.folder import root_path
from simplify.runs.lookup import find_run


def eval_command(run: str, text: str, stride: int | None, root: Path | None, as_json: bool) -> None:
    """Print what a trained decoder makes of a text: nats a token, perplexity, bits a byte."""
    folder = find_run(run, root_path(str(root) if root else None))
    read = _read(text)

    with loading("torch"):
        from simplify.training.trained import load_trained

    trained = load_trained(folder)
    found = trained.loss(read, stride)
    if as_json:
        numbers = {
            "run": folder.path.name,
            "step": trained.step,
            "tokens": found.tokens,
            "bytes": found.bytes,
            "nats_per_token": found.nats_per_token,
            "perplexity": found.perplexity,
            "bits_per_byte": found.bits_per_byte,
        }
        answer("eval", numbers)
        return
    tell(f"{folder.path.name} at step {trained.step} on {found.tokens:,} tokens, {found.bytes:,} bytes:")
    tell(
        f"{found.nats_per_token:.4f} nats a token, perplexity {found.perplexity:.2f}, "
        f"{found.bits_per_byte:.4f} bits a byte"
    )


def _read(word: str) -> str:
    """The text of a file, or of stdin where the word is `-`; ends of lines become as in training. Raises DataError."""
    try:
        data = sys.stdin.buffer.read() if word == "-" else expanded(word, "--text").read_bytes()
    except OSError as error:
        raise DataError(f"--text={word}: cannot be read: {error.strerror or error}; valid: a text file, or -") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"--text={word}: is no UTF-8 text (byte {error.start}); valid: a text file in UTF-8") from None
    if "\0" in text:
        raise DataError(f"--text={word}: is no text (it holds NUL bytes); valid: a text file in UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")
