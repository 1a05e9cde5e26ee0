"""`simplify probe`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from simplify.choices import choices, overlay_dir
from simplify.cli.select import is_setting
from simplify.compose import compose_run, compose_zoo
from simplify.config import RunConfig, nearest
from simplify.disk import check_folder
from simplify.display import answer_alone, answer_file, console, say, tell, tell_lacking
from simplify.errors import ConfigError, RunFolderError
from simplify.program import loading
from simplify.runs.files import write_json
from simplify.runs.folder import RunFolder, root_path
from simplify.runs.lookup import find_run

if TYPE_CHECKING:
    from simplify.diagnose.probe import Reading


def probe_command(
    words: Sequence[str], conf: Path | None, seeds: int, sequences: int, out: Path | None, as_json: bool
) -> None:
    """Settings: blocks at initialisation. Words without `=`: trained runs."""
    runs = [word for word in words if not is_setting(word)]
    overrides = [word for word in words if is_setting(word)]
    with answer_alone(as_json):
        if runs:
            folder = _trained(runs, overrides, sequences, out)
        else:
            folder = _at_start(overrides, conf, seeds, sequences, out)
    if as_json:
        answer_file("probe", folder / "probe.json")


def _trained(words: Sequence[str], overrides: Sequence[str], sequences: int, out: Path | None) -> Path:
    root = _root(overrides)
    folders = {word: find_run(word, root) for word in words}
    configs = {word: folder.config() for word, folder in folders.items()}

    with loading("torch"):
        from simplify.diagnose.run import probe_trained
        from simplify.training.restored import restore_run

    found: dict[str, list[Reading]] = {}
    steps: list[str] = []
    for word, folder in folders.items():
        restored = restore_run(folder, configs[word])
        found[folder.path.name] = [probe_trained(restored, sequences)]
        steps.append(f"{folder.path.name} at step {restored.step}")
    config = next(iter(configs.values()))
    where = out or (_only(folders).path if len(folders) == 1 else _folder(list(found), config))
    return _show(found, f"{', '.join(steps)}; {_batch(config, sequences)}", where)


def _only(folders: Mapping[str, RunFolder]) -> RunFolder:
    (folder,) = folders.values()
    return folder


def _root(overrides: Sequence[str]) -> Path:
    """The run root; nothing else can be said of runs that are trained already."""
    root: str | None = None
    for word in overrides:
        key, _, value = word.partition("=")
        if key != "run_root":
            raise ConfigError(f"{word}: a trained run has its settings; valid beside a run: run_root=DIR")
        root = value
    return root_path(root)


def _at_start(overrides: Sequence[str], conf: Path | None, seeds: int, sequences: int, out: Path | None) -> Path:
    names: list[str] = []
    settings: list[str] = []
    for word in overrides:
        key, _, value = word.partition("=")
        if key == "block":
            names = list(dict.fromkeys(value.split(",")))
        else:
            settings.append(word)
    valid = choices("block", overlay_dir(conf))
    for name in names:
        if name not in valid:
            raise ConfigError(f"block={name}: {nearest(name, valid)}valid: {', '.join(valid)}")
    configs: dict[str, RunConfig] = {}
    for name, run in compose_zoo(settings, conf, names or [compose_run(settings, conf).block.name]).items():
        if isinstance(run, ConfigError):
            raise run
        configs[name] = run

    with loading("torch"):
        from simplify.diagnose.run import probe_at_start

    found = probe_at_start(configs, seeds, sequences, lambda text: tell(f"probe: {text}"))
    config = next(iter(configs.values()))
    told = f"at initialisation, {f'mean over {seeds} seeds' if seeds > 1 else 'one seed'}; {_batch(config, sequences)}"
    return _show(found, told, out or _folder(list(configs), *configs.values()))


def _batch(config: RunConfig, sequences: int) -> str:
    model = config.model
    return (
        f"{model.name}, {model.n_layers} layers, d_model {model.d_model}; {sequences} sequences of {model.seq_len} "
        f"tokens of {config.data.name}"
    )


def _folder(names: Sequence[str], *configs: RunConfig) -> Path:
    """A folder of its own for each question, so that no picture overwrites another's."""
    digest = hashlib.sha256("".join(config.model_dump_json() for config in configs).encode()).hexdigest()[:6]
    return Path("probes") / f"{'-'.join(names)[:80]}-{digest}"


def _show(found: Mapping[str, Sequence[Reading]], told: str, out: Path) -> Path:
    """Print, draw and keep the readings; returns the folder."""
    from simplify.compare.canvas import NotDrawn
    from simplify.compare.draw import draw_panels
    from simplify.compare.page import Section, write_page
    from simplify.compare.page import Table as PageTable
    from simplify.diagnose.findings import collapsed, panels, table

    rows = table(found)
    shown = Table(title=f"{told}\nfirst → middle → last layer", title_justify="left")
    for name in rows[0]:
        shown.add_column(name, justify="left" if name == "measure" else "right")
    for row in rows[1:]:
        shown.add_row(*row)
    console().print(shown)
    for name, value in collapsed(found).items():
        say(f"{name}: rank collapse: two tokens of the last layer have a cosine of {value:.4f} on average")
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "probe.json", {"what": told, "readings": {name: list(r) for name, r in found.items()}})
        try:
            draw_panels(panels(found, only_main=True), told, [out / "probe.png"])
        except NotDrawn as problem:
            (out / "probe.png").unlink(missing_ok=True)  # an older one would show something else
            tell_lacking(f"probe.png: not drawn: {problem}")
        section = Section("", tables=[PageTable("", rows)], panels=panels(found))
        write_page([section], "Signal propagation", told, out / "probe.html")
    except OSError as error:
        if not out.is_absolute():
            check_folder()
        raise RunFolderError(
            f"--out={out}: cannot be written: {error.strerror or error}; valid: a folder to write to"
        ) from None
    if (out / "probe.png").exists():
        tell(f"picture: {out / 'probe.png'}")
    tell(f"page:    {out / 'probe.html'}\nnumbers: {out / 'probe.json'}")
    return out
