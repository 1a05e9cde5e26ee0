"""Keep, drop or undecided: a pure function of a candidate's pairs so far.

A campaign is any number of candidates, proposed one after the other, also by what was seen of those before. With
shares s_1 + s_2 + ... = 0.05 of its error, and seeds for each candidate that nothing was chosen by, at most 5% of
campaigns keep anything that does nothing: a candidate's chance to be kept in vain is at most its share, whatever was
chosen before.

Shares fall as 1 / (n ln(n)^2), about as slowly as a sum allows (1 / n^2 leaves candidate 125 a quarter of that). A kept
candidate gives its share back, as in Tian and Ramdas (2021), "Online control of the familywise error rate": if it was
kept rightly it has cost nothing, and if not, the campaign has erred already.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from simplify.compare.levels import level_of
from simplify.compare.statistics import mean_sd, t_quantile

ERROR = 0.05  # of campaigns may keep something that does nothing
LOOKS = (3, 5, 8, 16)  # pairs
_SUM = 2.109742800  # of 1 / (n ln(n)^2) from 2 on
_SMALL = 1e-3  # a level below which looks share it evenly: exact to 4%, and on the safe side
_FEW, _LUCK_OF_FEW, _LUCK = 5, 0.5, 0.2  # see `_is_ahead`

Answer = Literal["keep", "drop", "undecided"]


@dataclass(frozen=True)
class Standing:
    """How a candidate stands after its last look. Differences are its losses minus the baseline's, in nats."""

    answer: Answer | None  # None: the next look is waited for
    reason: str
    pairs: int  # that the answer is made from
    mean: float | None  # None: a loss was no number
    low: float | None
    high: float | None
    confidence: float  # of the interval, from 0 to 1; the candidate is kept where all of it is below -`least`


def share(number: int) -> float:
    """The chance to keep it in vain that the campaign's candidate `number`, from 1 on, is given."""
    n = number + 1
    return ERROR / (_SUM * n * math.log(n) ** 2)


def level(looks: tuple[int, ...], share_of_error: float) -> float:
    """The two-sided level of each look, of which the better half spends `share_of_error` over all looks."""
    total = 2 * share_of_error
    return level_of(looks, total) if total > _SMALL else total / len(looks)


def standing(
    gaps: Sequence[float], looks: tuple[int, ...], share_of_error: float, least: float = 0.0
) -> Standing | None:
    """What the differences of the first pairs, in the order of their seeds, come to; None before the first look.

    `least`: nats by which a candidate has to be better; below 0, by which it may be worse. A difference that is
    infinite is a candidate that diverged. What comes after the first answer is not looked at.
    """
    found: Standing | None = None
    for look in looks:
        if look > len(gaps) or (found is not None and found.answer is not None):
            break
        found = _at(gaps[:look], look == looks[-1], level(looks, share_of_error), least)
    return found


def _at(gaps: Sequence[float], is_last: bool, level_of_look: float, least: float) -> Standing:
    confidence, number = 1 - level_of_look, len(gaps)
    if not all(map(math.isfinite, gaps)):
        lost = sum(not math.isfinite(gap) for gap in gaps)
        return Standing("drop", f"diverged in {lost} of {number} runs", number, None, None, None, confidence)
    mean, sd = mean_sd(gaps)
    error = (sd or 0.0) / math.sqrt(number)
    half = t_quantile(number - 1, 1 - level_of_look / 2) * error
    low, high = mean - half, mean + half

    def told(answer: Answer | None, reason: str) -> Standing:
        return Standing(answer, reason, number, mean, low, high, confidence)

    wanted = "better" if not least else f"better by {least:g}" if least > 0 else f"no worse than by {-least:g}"
    if high < -least:
        return told("keep", f"surely {wanted}")
    if low > -least:
        return told("drop", f"surely not {wanted}")
    if not _is_ahead(mean + least, error, number):
        return told("drop", "the same" if mean == error == least == 0 else f"not {wanted} so far")
    return told("undecided", f"{wanted} so far, but not surely") if is_last else told(None, "not decided yet")


def _is_ahead(mean: float, error: float, number: int) -> bool:
    """Whether it is worth more seeds: a change that does nothing is so far ahead by luck in one case of five at most.

    Of fewer than five pairs it is enough that the mean is better. To drop too early keeps nothing in vain; a candidate
    that is 1.5 standard deviations of a pair better is dropped so in one case of a hundred.
    """
    from scipy.special import stdtr

    if mean >= 0 or error == 0:
        return mean < 0
    luck = float(stdtr(number - 1, mean / error))
    return luck < (_LUCK_OF_FEW if number < _FEW else _LUCK)
