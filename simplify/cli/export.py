"""`simplify export`."""

from __future__ import annotations

from pathlib import Path

from simplify.display import tell
from simplify.program import loading
from simplify.runs.folder import root_path
from simplify.runs.lookup import find_run


def export_command(run: str, target: Path, root: Path | None) -> None:
    """Write a trained model in the Hugging Face format."""
    folder = find_run(run, root_path(str(root) if root else None))
    config = folder.config()

    from simplify.export.write import check_target, write_model

    target = target.expanduser().resolve()
    check_target(target)

    with loading("torch"):
        from simplify.training.restored import restore_run

    restored = restore_run(folder, config)
    write_model(restored, folder.path.name, target)
    auto = "AutoModelForCausalLM" if config.model.kind == "decoder" else "AutoModelForMaskedLM"
    tell(f"exported step {restored.step} of {folder.path.name}: {target}")
    for name in (auto, "AutoTokenizer"):
        tell(f"  {name}.from_pretrained({str(target)!r}, trust_remote_code=True)")
