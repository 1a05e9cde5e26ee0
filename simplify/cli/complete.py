"""Tab completion of KEY=VALUE words, without torch.

bash splits words at `=` and hands over the parts; zsh and fish hand over the whole word. A bare
word that names no block is never valid here, so one before the cursor is the first part of a split word.
"""

from __future__ import annotations

from pathlib import Path

import typer

from simplify.choices import GROUPS, choices, overlay_dir


def complete_override(ctx: typer.Context, incomplete: str) -> list[str]:
    """Candidates for the word under the cursor."""
    before = list(ctx.params.get("overrides") or ctx.params.get("words") or [])
    split = ""
    if before and before[-1] == "=":
        split = before[-2] + "=" if len(before) > 1 else ""
    elif before and "=" not in before[-1] + incomplete and before[-1] not in choices("block"):
        split = before[-1] + "="
    try:
        found = candidates(split + incomplete, ctx.params.get("conf"))
    except Exception:  # a broken YAML or folder must not break the shell's prompt
        return []
    return [word.removeprefix(split) for word in found]


def complete_block(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of blocks, then settings as everywhere."""
    try:
        names = choices("block", overlay_dir(ctx.params.get("conf")))
    except Exception:  # a broken folder must not break the shell's prompt
        names = []
    return [name for name in names if name.startswith(incomplete)] + complete_override(ctx, incomplete)


def candidates(word: str, overlay: Path | None) -> list[str]:
    """Whole words KEY=VALUE that begin with `word`."""
    folder = overlay_dir(overlay)
    key = word.partition("=")[0]
    words = [f"{group}={name}" for group in GROUPS for name in choices(group, folder)]
    if "=" not in word and any(w.startswith(word) for w in words) and word:
        return [w for w in words if w.startswith(word)]
    if key in GROUPS:
        return [w for w in words if w.startswith(word)]
    from simplify.cli.settings_help import valid_words

    words = [f"{group}=" for group in GROUPS] if not word else []
    return words + [w for w in valid_words() if w.startswith(word)]
