"""Campaigns of a judge beside a greedy loop: what is kept in vain, and whether what is good is kept.

    benchmarks/judge.py [--campaigns 1000] [--candidates 125]

Simulated results, judged by the function that `simplify judge` asks (`simplify.judge.rule.standing`), look by look,
each candidate on seeds of its own (tests/judge_tools.py). Losses of seeds have deviation 1.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from judge_tools import campaign, greedy, judged


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--campaigns", type=int, default=1000)
    parser.add_argument("--candidates", type=int, default=125)
    asked = parser.parse_args()
    draw, apart = np.random.default_rng(16), math.sqrt(2)
    number, many = asked.campaigns, asked.candidates
    loops = [greedy(many, draw) for _ in range(number)]
    kept, gain = np.mean([one[0] for one in loops]), np.mean([one[1] for one in loops])
    print(f"greedy loop, one seed: keeps {kept:.2f} of {many} that do nothing, reports a gain of {gain:.2f} deviations")
    in_vain, pairs = 0, 0
    answers: Counter[str | None] = Counter()
    for _ in range(number):
        found = list(campaign(many, apart, draw))
        in_vain += any(one.answer == "keep" for one in found)
        pairs += sum(one.pairs for one in found)
        answers.update(one.answer for one in found)
    share_of = ", ".join(f"{answer} {100 * count / many / number:.2f}%" for answer, count in answers.most_common())
    print(f"judge, {many} that do nothing: {100 * in_vain / number:.1f}% of {number} campaigns keep any; {share_of}")
    print(f"    {pairs / number / many:.2f} pairs a candidate")
    print("planted improvement, kept and pairs (the campaign's other candidates do nothing):")
    print("place | 3 deviations of a pair | 3 of a seed, pairs uncorrelated | 1.5 of a pair")
    for place in (1, 2, 5, 10, 25, 50, 100, many):
        cells = []
        for gap, deviation in ((3.0, 1.0), (3.0, apart), (1.5, 1.0)):
            last = [judged(-gap, deviation, place, draw) for _ in range(number)]
            rate = np.mean([one.answer == "keep" for one in last])
            cells.append(f"{100 * rate:.1f}%, {np.mean([one.pairs for one in last]):.1f}")
        print(f"{place:5} | " + " | ".join(cells))


if __name__ == "__main__":
    main()
