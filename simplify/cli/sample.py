"""`simplify sample`."""

from __future__ import annotations

import sys
from pathlib import Path

from simplify.program import loading
from simplify.runs.folder import root_path
from simplify.runs.lookup import find_run


def sample_command(
    run: str, prompt: str, tokens: int, temperature: float, top_k: int | None, seed: int, root: Path | None
) -> None:
    """Print the prompt and what the model makes of it, token by token."""
    folder = find_run(run, root_path(str(root) if root else None))
    config = folder.config()

    with loading("torch"):
        from simplify.training.restored import restore_run
        from simplify.training.sample import sample_text

    restored = restore_run(folder, config)
    pieces = sample_text(restored, prompt, tokens, temperature, top_k, seed, lambda text: print(text, file=sys.stderr))
    started = False
    try:
        for piece in pieces:
            print(piece if started else prompt + piece, end="", flush=True)
            started = True
    finally:  # also after Ctrl-C: the shell's prompt gets a line of its own
        print("" if started else prompt, flush=True)
