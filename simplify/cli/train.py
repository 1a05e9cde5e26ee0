"""`simplify train`."""

from __future__ import annotations

from pathlib import Path

from simplify.compose import compose_run


def train_command(
    overrides: list[str], conf: Path | None, config: Path | None, force: bool, command: list[str]
) -> None:
    """Train, then show the table and where the picture is."""
    run = compose_run(overrides, conf, config)  # what is typed wrong is said before anything else is loaded

    from simplify.compare.picture import draw_loss
    from simplify.compare.summary import show_result, show_siblings
    from simplify.dispatch.here import train_here

    outcome = train_here(run, command, force)
    if outcome.already_done:
        print(f"already done: {outcome.folder.path} (--force runs it again)", flush=True)
    show_result(outcome.folder, outcome.result)
    show_siblings(outcome.folder, outcome.result)
    picture = outcome.folder.path / "loss.png"
    if not picture.exists():
        try:
            draw_loss(outcome.folder, outcome.result)
        except OSError as error:  # the run is done and safe; only the picture is missing
            print(f"loss.png: not drawn: {error.strerror or error}", flush=True)
            return
    print(f"loss curve: {picture}", flush=True)
