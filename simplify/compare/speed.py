"""What benches found, read back: which speeds may stand beside each other, and a table of them. No torch.

    benches = read_benches(root)                         simplify.runs.benches: oldest first
    speed = choose(benches, blocks, models)              None: nothing measured
    speed_table(speed), remarks(speed), speed.footnotes  rows, sentences, what may not stand beside them
    draw_speed(speed, path)                              simplify.compare.speed_chart

Speeds are beside each other only where device, threads, torch, precision and compile mode are equal, and
the model, the batch and the baseline too: everything else becomes a footnote.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simplify.runs.benches import Bench

MODES = {"train": "training", "forward": "forward", "decode_1": "decoding, batch 1", "decode_8": "decoding, batch 8"}
_SAID = {
    "device": "device",
    "kind": "kind of device",
    "threads": "number of threads",
    "torch": "torch",
    "precision": "precision",
    "compile": "compile mode",
    "baseline": "baseline",
    "work": "model or batch",
}


@dataclass(frozen=True)
class Entry:
    """A variant in one bench. `setting` is all that has to be equal for speeds to be compared."""

    name: str
    block: str
    bench: Bench
    setting: tuple[tuple[str, Any], ...]
    memory: int | None  # bytes
    modes: Mapping[str, Mapping[str, Any]]  # by mode, what simplify.bench.record.entry says
    files: frozenset[Path]  # where that comes from; `bench` is the newest of them


@dataclass(frozen=True)
class Speed:
    """Speeds that may stand beside each other, the baseline's first, and what was left out."""

    baseline: str
    told: str  # device, precision, model, batch: a line
    entries: Sequence[Entry]
    footnotes: Sequence[str]

    @property
    def modes(self) -> list[str]:
        """The kinds of work that any of them was measured in."""
        return [mode for mode in MODES if any(mode in entry.modes for entry in self.entries)]


def choose(
    benches: Sequence[Bench],
    blocks: Collection[str] | None = None,
    models: Sequence[Mapping[str, Any]] | None = None,
) -> Speed | None:
    """The group of comparable variants that has the most of them, of equal ones the newest; the rest are footnotes.

    `blocks` are names, `models` whole model configurations; None: all. The baseline comes along. Of what
    was measured twice the newest counts.
    """
    groups: dict[tuple[Any, ...], dict[str, Entry]] = {}
    for bench in benches:
        for entry in _wanted(bench, blocks, models):
            group = groups.setdefault(entry.setting, {})
            group[entry.name] = _merged(group.get(entry.name), entry)
    if not groups:
        return None
    newest = {setting: max(e.bench.record["created"] for e in group.values()) for setting, group in groups.items()}
    setting = max(groups, key=lambda s: (len(groups[s]), newest[s]))
    chosen, facts = groups[setting], dict(setting)
    entries = sorted(chosen.values(), key=lambda entry: entry.name != facts["baseline"])
    notes = [_footnote(facts, dict(other), group) for other, group in groups.items() if other != setting]
    files = {path for entry in entries for path in entry.files}
    if len(files) > 1:
        notes.append(f"from {len(files)} benches at different times: each ratio is to the baseline of its own bench")
    return Speed(facts["baseline"], _told(entries[0], facts), entries, notes)


def _wanted(
    bench: Bench,
    blocks: Collection[str] | None,
    models: Sequence[Mapping[str, Any]] | None,
) -> list[Entry]:
    """The variants of a bench that were asked for, with the baseline; none where there is only that."""
    entries, baseline = _entries(bench), bench.record["baseline"]
    wanted = [e for e in entries if blocks is None or e.block in blocks]
    if models is not None:
        same, variants = [_plain(one) for one in models], bench.record["variants"]
        if _model(variants[baseline]) not in same:
            return []  # the speed of another model
        wanted = [e for e in wanted if _model(variants[e.name]) in same]
    return [e for e in entries if e in wanted or e.name == baseline] if wanted else []


def _entries(bench: Bench) -> list[Entry]:
    record, found = bench.record, []
    base = record["variants"][record["baseline"]]
    for name, variant in record["variants"].items():
        setting = {**variant["key"], "baseline": record["baseline"], "work": base["work"]}
        config = variant["config"]
        modes = {mode: said["variants"][name] for mode, said in record["modes"].items() if name in said["variants"]}
        memory = (variant.get("memory") or {}).get("bytes")
        found.append(
            Entry(name, config["block"]["name"], bench, tuple(setting.items()), memory, modes, frozenset({bench.path}))
        )
    return found


def _model(variant: Mapping[str, Any]) -> dict[str, Any]:
    return _plain(variant["config"]["model"])


def _plain(model: Mapping[str, Any]) -> dict[str, Any]:
    """What of a model changes its speed: neither its name nor its seed."""
    return {key: value for key, value in model.items() if key not in ("name", "seed")}


def _merged(old: Entry | None, new: Entry) -> Entry:
    """A later bench of some kinds of work leaves what an earlier one found of the others."""
    if old is None or old.modes.keys() <= new.modes.keys():
        return new if old is None or new.memory is not None else replace(new, memory=old.memory)
    memory = old.memory if new.memory is None else new.memory
    return replace(new, modes={**old.modes, **new.modes}, memory=memory, files=old.files | new.files)


def _footnote(shown: Mapping[str, Any], other: Mapping[str, Any], group: Mapping[str, Entry]) -> str:
    """Why some variants are not in the picture."""
    entry = next(iter(group.values()))
    named = {**other, "work": _work(entry)}
    differ = [f"another {word} ({named[key]})" for key, word in _SAID.items() if shown.get(key) != other.get(key)]
    return f"not in the chart: {', '.join(group)}: {', '.join(differ)}"


def _told(entry: Entry, facts: Mapping[str, Any]) -> str:
    threads = f", {facts['threads']} thread{'s'[: facts['threads'] > 1]}" if facts["threads"] else ""
    return (
        f"{facts['device']}{threads}, {facts['precision']}, {facts['compile']}, torch {facts['torch']}; {_work(entry)}"
    )


def _work(entry: Entry) -> str:
    """Model and batch of the bench's baseline."""
    config = entry.bench.record["variants"][entry.bench.record["baseline"]]["config"]
    model, train = config["model"], config["train"]
    micro = f" in micro-batches of {train['micro_batch']}" if train["micro_batch"] else ""
    return (
        f"{model['name']}, {model['n_layers']} layers, d_model {model['d_model']}, context {model['seq_len']}, "
        f"{train['batch_tokens']} tokens a step{micro}"
    )


def speed_table(speed: Speed, modes: Collection[str] | None = None) -> list[list[str]]:
    """Rows of words, the header first: a row for each kind of work and variant."""
    rows = [
        [
            *("work", "block", "tokens/s", f"times {speed.baseline}", "spread", "verdict"),
            *("FLOPs removed", "overhead removed", "MFU", "peak memory"),
        ]
    ]
    for mode in speed.modes:
        if modes is None or mode in modes:
            rows += [_row(speed, mode, entry) for entry in speed.entries if mode in entry.modes]
    return rows


def _row(speed: Speed, mode: str, entry: Entry) -> list[str]:
    found = entry.modes[mode]
    ratio, split = found["ratio"], found["split"]
    compared = ["1", "", "baseline", "", ""] if entry.name == speed.baseline else ["-", "", "not compared", "", ""]
    if ratio:
        compared = [
            f"{ratio['median']:.3f}",
            f"{ratio['low']:.3f} to {ratio['high']:.3f}",
            ratio["verdict"],
            _percent(split["flops"]),
            f"{_percent(split['overhead'])}{_ends(split)}",
        ]
    mfu = "" if found["mfu"] is None else f"{found['mfu']:.0%}"
    memory = f"{entry.memory / 2**20:.0f} MiB" if mode == "train" and entry.memory is not None else ""
    return [MODES[mode], entry.name, f"{found['tokens_per_second']:,.0f}", *compared, mfu, memory]


def _percent(factor: float) -> str:
    return f"{100 * (factor - 1):+.1f}%"


def _ends(split: Mapping[str, Any]) -> str:
    """The interval of the overhead removed."""
    low, high = split["overhead_sure_low"], split["overhead_sure_high"]
    return "" if low is None else f" ({_percent(low)} to {_percent(high)})"


def remarks(speed: Speed) -> list[str]:
    """What was not decided, and why; where the machine was too busy to say how much of it was used."""
    found: list[str] = []
    for mode in speed.modes:
        for entry in speed.entries:
            ratio = entry.modes.get(mode, {}).get("ratio")
            if ratio and ratio["why"]:
                found.append(f"{MODES[mode]}, {entry.name}: {ratio['verdict']}: {ratio['why']}")
    if any((said["mfu"] or 0) > 1 for entry in speed.entries for said in entry.modes.values()):
        found.append(
            "MFU above 100%: the machine was busier while its matrix products were measured; no measure of use"
        )
    return found
