"""`simplify sample`."""

from __future__ import annotations

from pathlib import Path

from simplify.display import is_heard, tell, tell_aside
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
    pieces = sample_text(restored, prompt, tokens, temperature, top_k, seed, lambda text: tell_aside(text))
    started = False
    try:
        for piece in pieces:
            tell(piece if started else prompt + piece, end="")
            started = True
            if not is_heard():
                break
    finally:  # also after Ctrl-C: the shell's prompt gets a line of its own
        tell("" if started else prompt)
