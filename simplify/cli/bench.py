"""`simplify bench`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from simplify.bench.record import ONLY, Asked
from simplify.choices import GROUPS, overlay_dir
from simplify.compare.speed import Speed, choose, remarks, speed_table
from simplify.compose import axes, compose_points
from simplify.config import RunConfig, nearest
from simplify.display import answer, console, say, tell, tell_lacking
from simplify.display.progress import meter, quiet_meter
from simplify.errors import ConfigError
from simplify.program import loading
from simplify.runs.benches import Bench, keep_bench
from simplify.runs.folder import run_root
from simplify.runs.settings import varied_words

_OF_THE_PROCESS = ("cluster", "wandb", "run_root")  # no property of a variant
_USUAL = "pre_ln"


def bench_command(
    words: Sequence[str],
    conf: Path | None,
    only: str | None,
    baseline: str | None,
    rounds: int | None,
    seconds: float,
    twin: bool,
    as_json: bool,
    command: list[str],
) -> None:
    """Measure, keep, show."""
    configs = _variants(words, conf)
    base = _baseline(configs, baseline)
    if twin:
        configs[f"{base} again"] = configs[base]
    kinds = _kinds(only)
    root = run_root(configs[base])

    with loading("torch"):
        from simplify.bench.run import run_bench

    if kinds == ("decode",) and all(config.model.kind == "encoder" for config in configs.values()):
        raise ConfigError("--only=decode: an encoder does not decode; valid: train, forward, memory")
    with quiet_meter() if as_json else meter("bench", 1.0) as progress:
        record = run_bench(configs, Asked(base, kinds, rounds, seconds), command, progress)
    bench = keep_bench(record, root)
    if as_json:
        answer("bench", {"file": str(bench.path), **record})
    else:
        _show(bench)


def _variants(words: Sequence[str], conf: Path | None) -> dict[str, RunConfig]:
    """The runs that the words describe, by what tells them apart; raises the first error among them."""
    values = {key: list(_distinct(found)) for key, found in axes(words, overlay_dir(conf)).items()}
    for key, found in values.items():
        if len(found) > 1 and key.partition(".")[0] in _OF_THE_PROCESS:
            raise ConfigError(f"{key}={','.join(map(str, found))}: several in one bench; valid: one value")
    points = [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]
    configs: list[RunConfig] = []
    for run in compose_points(points, conf):
        if isinstance(run, ConfigError):
            raise run
        configs.append(run)
    differing = varied_words([config.model_dump(mode="json") for config in configs])
    if len(configs) == 1:
        return {configs[0].block.name: configs[0]}
    return {_name(cells): config for cells, config in zip(differing, configs, strict=True)}


def _distinct(values: Sequence[Any]) -> Sequence[Any]:
    return [value for place, value in enumerate(values) if value not in values[:place]]


def _name(cells: Mapping[str, str]) -> str:
    """`sas`; or `sas n_layers=8` where more than the block differs."""
    return " ".join(v if key in GROUPS else f"{key.rpartition('.')[2]}={v}" for key, v in cells.items())


def _baseline(configs: Mapping[str, RunConfig], wanted: str | None) -> str:
    if wanted is not None and wanted not in configs:
        names = list(configs)
        raise ConfigError(f"--baseline={wanted}: {nearest(wanted, names)}valid: {', '.join(names)}")
    usual = (name for name, config in configs.items() if config.block.name == _USUAL)
    return wanted or next(usual, next(iter(configs)))


def _kinds(only: str | None) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(only.split(","))) if only is not None else ONLY
    for kind in kinds:
        if kind not in ONLY:
            raise ConfigError(f"--only={only}: {nearest(kind, ONLY)}valid: {', '.join(ONLY)}, several with commas")
    return kinds


def _show(bench: Bench) -> None:
    """Tables of what may be compared, sentences, and where the files are."""
    from simplify.compare.canvas import NotDrawn
    from simplify.compare.speed_chart import draw_speed

    speed = choose([bench])
    assert speed is not None  # a bench has a variant
    record = bench.record
    if speed.modes:
        _print_table(speed)
    for line in (*remarks(speed), *speed.footnotes, *_apart(record)):
        say(line, indent="  ")
    picture = bench.path.with_suffix(".png")
    if speed.modes and len(speed.entries) > 1:
        try:
            draw_speed(speed, picture)
            tell(f"picture: {picture}")
        except (NotDrawn, OSError) as problem:  # the numbers are safe
            tell_lacking(f"{picture.name}: not drawn: {problem}")
    tell(f"numbers: {bench.path}")


def _print_table(speed: Speed) -> None:
    rows = speed_table(speed)
    shown = Table(title=speed.told, title_justify="left")
    for name in rows[0]:
        shown.add_column(name, justify="left" if name in ("work", "block", "verdict") else "right")
    for row, after in itertools.zip_longest(rows[1:], rows[2:]):
        again = after is None or after[0] != row[0]
        shown.add_row(*row, end_section=again)
    console().print(shown)


def _apart(record: Mapping[str, Any]) -> list[str]:
    """What is no part of the times: how they were taken, first calls, ceiling, load."""
    lines = [
        f"{mode}: {said['what']}; {said['rounds']} round{'s'[: said['rounds'] > 1]}"
        for mode, said in record["modes"].items()
    ]
    lines += [f"{mode}: not measured: {why}" for mode, why in record["skipped"].items()]
    for name, variant in record["variants"].items():
        parts = [("built", variant["build_seconds"])]
        for mode, said in record["modes"].items():
            if name in said["variants"]:
                parts.append((f"first {mode}", said["variants"][name]["first_call"]))
        apart = ", ".join(f"{what} {seconds:.2f} s" for what, seconds in parts)
        lines.append(f"not in the times: {name}: {apart}")
    lines += _memory({name: variant["memory"] or {} for name, variant in record["variants"].items()})
    for precision, ceiling in record["ceiling"].items():
        size, threads = ceiling["shape"][0], f", threads: {ceiling['threads']}" if ceiling["threads"] else ""
        lines.append(
            f"MFU is of {ceiling['flops_per_second'] / 1e9:,.0f} GFLOP/s: a {precision} matrix product of {size} x "
            f"{size} here{threads}"
        )
    load = record["load"]
    if load["before"] and load["after"]:
        lines.append(f"load of the machine: {load['before'][0]:.1f} before, {load['after'][0]:.1f} after (1 minute)")
    return lines


def _memory(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Peak memory, how it was measured, and where it was not."""
    lines = [f"{name}: memory not measured: {memory['error']}" for name, memory in found.items() if "error" in memory]
    measured = {name: memory for name, memory in found.items() if "bytes" in memory}
    if measured:
        all_of_them = ", ".join(f"{name} {memory['bytes'] / 2**20:.0f} MiB" for name, memory in measured.items())
        lines.append(f"peak memory of training: {all_of_them}: {next(iter(measured.values()))['how']}")
    return lines
