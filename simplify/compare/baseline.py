"""Which variant the others are held against, and what to say where every one would be its own baseline."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simplify.compare.variants import Variant, setting, value_of
from simplify.runs.settings import flat, layers_of
from simplify.runs.words import as_word, in_order

# The configuration that a variant's groups have by themselves, without a setting on top; None: nobody knows it.
Home = Callable[[Variant], Mapping[str, Any] | None]
_GROUPS = ("block", "model", "optimiser", "train")  # whose settings count as part of what is compared
_MOST = 12  # settings that a line lists


def bases(variants: Sequence[Variant], wanted: str | None, home: Home = lambda _: None) -> list[Variant]:
    """The variants that the others are held against: those that `wanted` names, without a wish Pre-LN, else the first.

    `wanted`: a block, settings such as "block=sas optimiser.lr=1e-3", or a variant's name as tables print it. Where
    it says nothing of the settings inside the block, and variants differ in these, it is of each combination of the
    others the one nearest to the block's own settings. None where every variant would be its own baseline even so.
    """
    meant = [v for v in variants if v.block == "pre_ln"] or [v for v in variants if v.block == variants[0].block]
    if wanted is not None:
        meant = [variant for variant in variants if is_meant(variant, wanted)]
    if len(variants) < 2:
        return meant
    if wanted is None or not any(_sets_block(variant, wanted) for variant in meant):
        meant = _nearest(meant, home, lambda variant: (variant.block, str(_rest(variant))), ("block",))
    if len(meant) == len(variants):
        meant = _nearest(meant, home, lambda _: None, _GROUPS)
    return meant if len(meant) < len(variants) else []


def _rest(variant: Variant) -> list[Any]:
    """What it is beside its block."""
    return [(name, value) for name, value in variant.identity.items() if name != "block"]


def _nearest(
    variants: Sequence[Variant], home: Home, part_of: Callable[[Variant], Any], groups: Sequence[str]
) -> list[Variant]:
    """Of each part those that differ least from their home in these groups of settings."""
    parts: dict[Any, list[Variant]] = {}
    for variant in variants:
        parts.setdefault(part_of(variant), []).append(variant)
    if len(parts) == len(variants):
        return list(variants)
    kept: list[Variant] = []
    for members in parts.values():
        far = [_distance(variant, home(variant), groups) for variant in members]
        kept += [variant for variant, steps in zip(members, far, strict=True) if steps == min(far)]
    return [variant for variant in variants if variant in kept]


def _distance(variant: Variant, home: Mapping[str, Any] | None, groups: Sequence[str]) -> int:
    """In how many settings a variant differs from its home; without one, from what the code has by itself."""
    if home is None:
        return sum(len(variant.identity[name]) for name in groups)
    mine, its = variant.settings, flat(home)
    keys = {key for key in {*mine, *its} if key.partition(".")[0] in groups and not key.endswith(".name")}
    return sum(mine.get(key) != its.get(key) for key in keys)


def baseline_of(variant: Variant, bases: Sequence[Variant]) -> Variant | None:
    """The baseline a variant is held against: on the same batches, and otherwise differing least outside the block.

    Of several that differ as little the one of the same block, and of those the one with the most of its settings.
    """
    fit = [base for base in bases if base.data == variant.data and _budget(base) == _budget(variant)]
    if variant in fit:
        return variant
    return min(fit, key=lambda base: _apartness(base, variant), default=None)


def _apartness(base: Variant, variant: Variant) -> tuple[int, bool, int]:
    blocks = [one.identity["block"] for one in (base, variant)]
    within = sum(blocks[0].get(key) != blocks[1].get(key) for key in {*blocks[0], *blocks[1]})
    return len(apart(base, variant)), base.block != variant.block, within


def _budget(variant: Variant) -> tuple[Any, ...]:
    return tuple(variant.identity["train"].get(name) for name in ("steps", "hours"))


def apart(base: Variant, variant: Variant) -> list[str]:
    """The settings, beside those of the block, in which two variants differ: part of what is compared."""
    parts = [(name, base.identity[name], variant.identity[name]) for name in ("model", "optimiser", "train")]
    return [
        f"{name}.{key}"
        for name, mine, other in parts
        for key in sorted({*mine, *other})
        if mine.get(key) != other.get(key)
    ]


def is_meant(variant: Variant, words: str) -> bool:
    """Whether words name a variant: its name, a block, or settings such as "block=sas optimiser.lr=1e-3".

    Keys may be short, as tables print them, and commas may stand between: "projection=dense, lr=0.001".
    """
    if _is_named(variant, words):
        return True
    return all(any(_is(variant, full, value) for full in _full(variant, key)) for key, value in _pairs(words))


def _pairs(words: str) -> list[tuple[str, str]]:
    """Keys and values; a word alone is a block."""
    parts = words.split() if re.search(r"[\[{]", words) else re.split(r"[,\s]+", words.strip(" ,"))
    pairs = [word.partition("=") if "=" in word else ("block", "=", word) for word in parts]
    return [(key, value) for key, _, value in pairs]


def _is_named(variant: Variant, words: str) -> bool:
    """Whether words are a variant's name or parts of it, as it is printed or labelled: `no W_P, lr=0.001`."""
    names = (variant.name, variant.label, variant.printed)
    parts = {part for name in names for part in name.split(", ")}
    return words in names or all(word.strip() in parts for word in words.split(","))


def _sets_block(variant: Variant, words: str) -> bool:
    """Whether words name a variant by settings inside its block."""
    if words != variant.block and _is_named(variant, words):
        return True
    return any(full.startswith("block.") for key, _ in _pairs(words) for full in _full(variant, key))


def _full(variant: Variant, key: str) -> list[str]:
    """The full keys that a key may stand for: itself, those of what tells variants apart, or any that ends so."""
    if key in variant.config or key.partition(".")[0] in variant.config:
        return [key]
    ends = [full for full in variant.cells if full.endswith(f".{key}")]
    return ends or [full for full in variant.settings if full.endswith(f".{key}")]


def _is(variant: Variant, key: str, value: str) -> bool:
    raw = value_of(variant.config, key)
    texts = {as_word(raw), as_word(raw, layers_of(variant.config)), as_word(setting(variant.config, key))}
    if value.lower() in {text.lower() for text in texts} or variant.cells.get(key) == value:
        return True
    try:
        return float(value) in {float(text) for text in texts if re.fullmatch(r"[-+.\de]+", text)}
    except ValueError:
        return False


def valid_words(variants: Sequence[Variant]) -> list[str]:
    """What names some of the variants and not all: the blocks, and the settings that differ."""
    blocks = list(dict.fromkeys(variant.block for variant in variants))
    keys = dict.fromkeys(key for variant in variants for key in variant.cells if key != "block")
    found = [*blocks] if len(blocks) > 1 or not keys else []
    for key in keys:
        found += [f"{key}={value}" for value in in_order(v.cells[key] for v in variants if key in v.cells)]
    return found


def listed(words: Sequence[str]) -> str:
    """The first of them, and whether there are more."""
    return ", ".join([*words[:_MOST], *["..."] * (len(words) > _MOST)])


def missing_line(variants: Sequence[Variant], wanted: str | None, chosen: Sequence[Variant]) -> str:
    """What to do where nothing is compared, since no variant or every one is a baseline; empty where not so."""
    if len(variants) < 2 or chosen:
        return ""
    words = valid_words(variants)
    if wanted is not None and not any(is_meant(variant, wanted) for variant in variants):
        return f"no verdicts: none of these runs is the baseline {wanted}; valid here: {listed(words)}"
    words = [word for word in words if "=" in word] or words
    return f"no verdicts: every variant would be its own baseline; name one: --baseline with one of {listed(words)}"
