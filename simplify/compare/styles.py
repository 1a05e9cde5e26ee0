"""The look of lines, dealt once a report: a variant has the same one in all figures and on the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

# Okabe and Ito's colours, told apart by any eye. Their yellow is left out, too light for a thin line on white; grey
# stands in. Black is the ink: a page on a dark ground draws it light.
PALETTE = ("#000000", "#E69F00", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#888888", "#56B4E9")
# The blocks that are compared most often have the same colour in the pictures of all runs.
_KNOWN = dict(zip(("pre_ln", "parallel", "sas", "sas_p", "sas_p_no_norm", "v_skipinit"), PALETTE, strict=False))
_OF_SETTINGS = tuple(PALETTE[place] for place in (2, 3, 4, 1, 5, 7, 0, 6))  # no block's: the strongest first
# On and off lengths in line widths, as unlike each other as five can be; () is a solid line.
DASHES: tuple[tuple[float, ...], ...] = ((), (7, 2.5), (1.2, 1.6), (8, 2, 1.4, 2), (2.8, 4))
_PALER = (0.0, 0.4, 0.65)  # shares of white, for more lines of a colour than there are dashes


@dataclass(frozen=True)
class Style:
    """How a curve's line looks, wherever it is drawn."""

    colour: str
    dash: tuple[float, ...]
    width: float


INK = Style(PALETTE[0], (), 1.9)


def dealt(keys: Sequence[str], rests: Sequence[str], blocks: bool = True) -> list[Style]:
    """A style for each variant. Those of one key share a colour; within it `rests`, what else they are, say the dash.

    `blocks`: keys are blocks, of which the well-known ones have colours of their own.

    The same rest has the same dash in every colour, as far as there are dashes. No two variants look the same before
    all dashes and three shades of each colour are taken.
    """
    own = style_of(keys, PALETTE if blocks else _OF_SETTINGS)
    several = [rest for key, rest in zip(keys, rests, strict=True) if keys.count(key) > 1]
    order = {rest: number for number, rest in enumerate(dict.fromkeys(several))}
    found: list[Style] = []
    for number, (key, rest) in enumerate(zip(keys, rests, strict=True)):
        first = DASHES.index(own[key].dash) + (order[rest] if keys.count(key) > 1 else 0)
        taken = {(style.colour, style.dash) for style in found}
        colour, dash = next(
            (look for look in _looks(own[key].colour, first) if look not in taken), (own[key].colour, own[key].dash)
        )
        found.append(Style(colour, dash, max(1.0, 1.9 - 0.2 * number)))
    return found


def _looks(colour: str, first: int) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Ever other looks of a colour: its dashes from the first on, then the same paler."""
    for number in range(first, first + len(DASHES) * len(_PALER)):
        shade = number // len(DASHES) % len(_PALER)
        yield paler(colour, _PALER[shade]), DASHES[number % len(DASHES)]


def paler(colour: str, share: float) -> str:
    """A colour mixed with so much white."""
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return colour if not share else "#" + "".join(f"{round(part + share * (255 - part)):02X}" for part in parts)


def joint_styles(families: Mapping[str, Sequence[Style]]) -> dict[str, Style]:
    """Styles for lines that stand for several variants each: the colour and the dash that all of a line's have.

    Where they have no colour in common the line is ink, and where they have no dash in common it gets one of its own.
    """
    found: dict[str, Style] = {}
    for number, (name, styles) in enumerate(families.items()):
        colours, dashes = {style.colour for style in styles}, {style.dash for style in styles}
        colour = colours.pop() if len(colours) == 1 else INK.colour
        dash = dashes.pop() if len(dashes) == 1 else ()
        taken = {(style.colour, style.dash) for style in found.values()}
        look = next((look for look in _looks(colour, DASHES.index(dash)) if look not in taken), (colour, dash))
        found[name] = Style(*look, width=max(1.0, 1.9 - 0.2 * number))
    return found


def style_of(names: Sequence[str], palette: Sequence[str] = PALETTE) -> dict[str, Style]:
    """A line style for each name, decided by the names' order alone: eight colours, then the same ones dashed."""
    names = list(dict.fromkeys(names))
    known = _KNOWN if palette is PALETTE else {}
    own = {name: (known[name], DASHES[0]) for name in names if name in known}
    # Colours of well-known blocks that are not shown are lent to others, but last.
    free = sorted((colour for colour in palette if (colour, ()) not in own.values()), key=[*known.values()].count)
    looks = [(colour, ()) for colour in free] + [(colour, dash) for dash in DASHES[1:] for colour in palette]
    others = [name for name in names if name not in own]
    own |= {name: looks[i % len(looks)] for i, name in enumerate(others)}
    # Later lines are thinner, so that of lines that coincide each one can be seen.
    return {name: Style(*own[name], width=max(1.0, 1.9 - 0.2 * i)) for i, name in enumerate(names)}


def colour_of(names: Sequence[str]) -> dict[str, str]:
    """The colour of each name, decided by the names' order alone; well-known blocks keep their own."""
    return {name: style.colour for name, style in style_of(names).items()}
