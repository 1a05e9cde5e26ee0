"""How a report's figures look: titles, letters, width, and whether a formula can be set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simplify.compare.canvas import NotDrawn, part

SANS, SERIF = "sans", "serif"


@dataclass(frozen=True)
class Look:
    """How a report's figures look."""

    title: bool = True  # whether panels have titles
    font: str = SANS  # sans, serif, or a family
    width: float = 3.25  # inches, of one panel alone: a column of a paper
    log_x: bool = False  # of loss curves
    log_y: bool = False


def font_settings(font: str) -> dict[Any, Any]:
    """matplotlib's settings of a font. STIX's is Times' like, and comes with matplotlib, so that it is everywhere."""
    serif = {"font.family": "STIXGeneral", "mathtext.fontset": "stix"}
    if font in (SANS, SERIF):
        return serif if font == SERIF else {}
    return {"font.family": font} if _has_font(font) else {}  # matplotlib would complain at every letter


def _has_font(font: str) -> bool:
    return font in part("font_manager").get_font_names()


def problems_of(look: Look, labels: Iterable[str]) -> list[str]:
    """What of a look or of labels cannot be drawn, in words: then the usual font is taken, and a formula's source."""
    try:
        bad = [label for label in labels if "$" in label and not is_set(label)]
        lacking = look.font not in (SANS, SERIF) and not _has_font(look.font)
    except NotDrawn:  # said of each picture
        return []
    found = [f"label {label}: matplotlib cannot set that formula" for label in bad]
    if lacking:
        found.append(f"font {look.font}: is not on this machine; valid: sans, serif, or a family that is")
    return found


def is_set(label: str) -> bool:
    """Whether a label has formulas that can be set."""
    if "$" not in label:
        return False
    try:
        part("mathtext").MathTextParser("path").parse(label)
    except ValueError:
        return False
    return True


def text_of(label: str) -> dict[str, Any]:
    """A label as matplotlib's texts take it: formulas between dollars set where they can be, else as they are."""
    return {"text": label, "parse_math": is_set(label)}
