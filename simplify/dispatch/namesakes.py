"""Runs of the same settings on another text: what an edit, a new tokeniser or another Python makes of a run.

The text is part of a run's identity, so such a run is another one. That has to be said: who types the same command
again means to go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simplify.errors import RunFolderError
from simplify.runs.folder import RunFolder
from simplify.runs.folders import RunFolders


def refuse_another_text(repeated: Path, mine: Mapping[str, Any]) -> None:
    """Raise RunFolderError where `repeated`, a run folder, was trained with `mine` settings on another text."""
    corpus = _on_another_text(RunFolder(repeated, ""), mine)
    if corpus:
        raise RunFolderError(
            f"--config={repeated / 'config.yaml'}: its run was trained on corpus {corpus}, and the same data is corpus "
            f"{mine['data']['corpus']} now (text or tokeniser changed since, or another Python); restore the text, or "
            "copy the file out of the run's folder to train on the text as it is"
        )


def namesakes_line(folders: RunFolders, label: str, mine: Mapping[str, Any]) -> str:
    """A line that names an earlier run with `mine` settings on another text; empty where there is none."""
    for run_id, path in folders.runs.items():
        if not path.name.startswith(f"{label}-"):
            continue
        corpus = _on_another_text(RunFolder(path, run_id), mine)
        if corpus:
            return (
                f"this is a new run: {path.name} has the same settings on another text (corpus {corpus}, here "
                f"{mine['data']['corpus']}; the text or the tokeniser has changed since, or another Python)"
            )
    return ""


def _on_another_text(folder: RunFolder, mine: Mapping[str, Any]) -> str:
    """The corpus of a run that differs from `mine` in nothing else; empty where it does not."""
    its = folder.about().get("identity") or {}
    data = its.get("data") or {}
    corpus = str(data.get("corpus") or "")
    same = {**its, "data": {**data, "corpus": mine["data"]["corpus"]}} == dict(mine)
    return corpus if same and corpus != mine["data"]["corpus"] else ""
