"""`simplify export`."""

from __future__ import annotations

from pathlib import Path

from simplify.disk import expanded
from simplify.display import tell
from simplify.program import loading
from simplify.runs.folder import root_path
from simplify.runs.lookup import find_run


def export_command(run: str, target: Path, wanted: str, root: Path | None) -> None:
    """Write a trained model in the Hugging Face format."""
    folder = find_run(run, root_path(str(root) if root else None))
    config = folder.config()

    with loading("torch"):
        from simplify.export.write import auto_class, check_target, loading_words, spelling, write_model
        from simplify.training.restored import restore_run

    target = expanded(target, "--to").resolve()
    check_target(target)
    kind, why = spelling(config, wanted)
    restored = restore_run(folder, config)
    write_model(restored, folder.path.name, target, kind)
    said = f" as {kind}{f' ({why})' if why else ''}" if wanted != "simplify" else ""
    tell(f"exported step {restored.step} of {folder.path.name}{said}: {target}")
    for name in (auto_class(config), "AutoTokenizer"):
        tell(f"  {name}.from_pretrained({str(target)!r}{loading_words(kind)})")
