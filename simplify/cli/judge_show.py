"""What a judge says: an answer, and a campaign as a table."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from simplify.cli.fit import listed, plain, plain_width
from simplify.display import answer, console, near, say, short_time, tell
from simplify.judge.campaign import Campaign, Candidate


def as_data(campaign: Campaign, mine: Candidate) -> dict[str, Any]:
    """A candidate for programs."""
    last = dict(mine.looked[-1]) if mine.looked else {}
    told = {key: last.get(key) for key in ("answer", "reason", "pairs")}
    return {
        "campaign": campaign.name,
        "number": mine.number,
        "candidate": list(mine.words),
        "baseline": list(mine.baseline),
        **told,
        "difference": last.get("mean"),
        "interval": [last.get("low"), last.get("high")],
        "confidence": last.get("confidence"),
        "gaps": last.get("gaps", []),
        "seeds": list(mine.seeds[: last.get("pairs", 0)]),
        "least": mine.least,
        "share": mine.share,
        "looks": list(mine.looks),
        "price": {"runs": last.get("runs", 0), "device_seconds": last.get("device_seconds", 0.0)},
        "ledger": {"file": str(campaign.ledger.path), "hash": campaign.ledger.hash},
    }


def say_answer(campaign: Campaign, mine: Candidate) -> None:
    """The answer for people."""
    last = mine.looked[-1]
    seeds = mine.seeds[: last["pairs"]]
    say(f"{mine.answer}: {last['reason']}{_numbers(last)} over {last['pairs']} pairs, seeds {_seeds(seeds)}")
    hours = f"{last['device_seconds'] / 3600:.3g} device-hours ({short_time(last['device_seconds'])})"
    tell(f"price: {last['runs']} runs, {hours}")
    tell(f"ledger: {near(campaign.ledger.path)}, hash of its last line {campaign.ledger.hash[:16]}")
    if mine.answer == "keep":
        tell(f"the next baseline: --against {_quoted(mine.words)}, or no --against")


def _quoted(words: Sequence[str]) -> str:
    """Words as one argument of a shell, in the quotes that are easier to read."""
    text = shlex.join(words)
    return f'"{text}"' if not set(text) & set('"$`\\!') else shlex.quote(text)


def _numbers(last: Any) -> str:
    if last["mean"] is None:
        return ""
    return f": {_gap(last, ' nats')[:-1]} at {_percent(last['confidence'])})"


def _gap(last: Mapping[str, Any], unit: str = "") -> str:
    """A difference with its interval; `-` where there is none. Small ones keep two digits."""
    if last.get("mean") is None:
        return "-"
    numbers = [last["mean"], last["low"], last["high"]]
    mean, low, high = (f"{one:+.4f}" if abs(numbers[0]) >= 0.005 else f"{one:+.2g}" for one in numbers)
    return f"{mean}{unit} ({low} to {high})"


def _percent(confidence: float) -> str:
    """With as many nines as there are."""
    digits = next((n for n in range(1, 12) if round(100 * confidence, n) < 100), 12)
    return f"{100 * confidence:.{digits}f}%"


def _seeds(seeds: Sequence[int]) -> str:
    whole = list(seeds) == [*range(seeds[0], seeds[-1] + 1)] and len(seeds) > 2
    return f"{seeds[0]} to {seeds[-1]}" if whole else ", ".join(map(str, seeds))


def _beyond(words: Sequence[str], others: Sequence[str]) -> str:
    """The words that the other side does not have."""
    return shlex.join([word for word in words if word not in others]) or "-"


def show_campaign(campaign: Campaign, as_json: bool) -> None:
    """Every candidate of a campaign."""
    found = campaign.candidates()
    if as_json:
        answer("judge", {"campaign": campaign.name, "candidates": [as_data(campaign, one) for one in found]})
        return
    if not found:
        tell(f"campaign {campaign.name}: no candidate yet in {campaign.root}")
        return
    heads = ("", "candidate", "against", "answer", "pairs", "difference", "runs")
    rows: list[tuple[str, ...]] = [heads]
    for one in found:
        last = one.looked[-1] if one.looked else {}
        told = (one.answer or "open", str(last.get("pairs", 0)), _gap(last), str(last.get("runs", 0)))
        rows.append((str(one.number), _beyond(one.words, one.baseline), _beyond(one.baseline, one.words), *told))
    screen = console()
    if plain_width(rows) <= screen.width:
        screen.print(plain(rows, left=heads[1:4]))
    else:
        pairs = [list(zip(heads[1:], row[1:], strict=True)) for row in rows[1:]]
        told = [
            (row[0], [f"{head}: {cell}" for head, cell in cells]) for row, cells in zip(rows[1:], pairs, strict=True)
        ]
        tell("\n".join(listed(told, screen.width)))
    if shared := [word for word in found[0].words if all(word in one.words and word in one.baseline for one in found)]:
        say(f"all with {shlex.join(shared)}")
    tell(f"ledger: {near(campaign.ledger.path)}, unchanged; hash of its last line {campaign.ledger.hash[:16]}")
