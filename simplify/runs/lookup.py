"""Finding a run that a user names: by its folder's name or its id, the beginning of either, or by path."""

from __future__ import annotations

from pathlib import Path

from simplify.errors import RunFolderError
from simplify.runs.files import read_json
from simplify.runs.folder import RunFolder


def find_run(word: str, root: Path) -> RunFolder:
    """The run that `word` names below `root`. Raises RunFolderError if it is none or several."""
    path = Path(word).expanduser()
    if (path / "run.json").is_file():
        return _open(path.resolve())
    folders = [p.parent for p in root.glob("*-*/run.json") if ".old-" not in p.parent.name]
    found = [p for p in folders if p.name.startswith(word) or p.name.rpartition("-")[2].startswith(word)]
    found = [p for p in found if p.name == word] or found
    if len(found) == 1:
        return _open(found[0])
    if found:
        names = ", ".join(sorted(p.name for p in found)[:8])
        raise RunFolderError(
            f"{word}: names {len(found)} runs in {root}: {names}; give more of the name or of the id at its end"
        )
    known = [*sorted(p.name for p in folders)[:8], *(["..."] if len(folders) > 8 else [])]
    raise RunFolderError(
        f"{word}: no run of that name or id in {root}; valid: {', '.join(known) or '(none yet)'}, or the path of a run "
        "folder"
    )


def _open(path: Path) -> RunFolder:
    facts = read_json(path / "run.json")
    if facts is None or not isinstance(facts.get("id"), str):
        raise RunFolderError(f"{path}/run.json: cannot be read; valid: the folder of a run")
    return RunFolder(path, facts["id"])
