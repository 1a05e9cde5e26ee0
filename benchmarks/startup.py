"""How long the command line takes to answer: medians over interleaved runs.

    .venv/bin/python benchmarks/startup.py [ROUNDS]

Read the ratio to an empty interpreter, not the seconds: machines are shared and noisy.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "simplify --help": ["-m", "simplify", "--help"],
    "simplify train --help": ["-m", "simplify", "train", "--help"],
    "simplify blocks": ["-m", "simplify", "blocks"],
    "simplify config block=sas": ["-m", "simplify", "config", "block=sas"],
    "simplify train optimiser.lr=-1": ["-m", "simplify", "train", "optimiser.lr=-1"],
}


def main() -> None:
    """Time every command in turn, round after round."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, words in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *words], capture_output=True, check=False)
            times[name].append(time.perf_counter() - start)
    print(f"{'command':32} {'median s':>9} {'lowest':>8} {'highest':>8}")
    for name, seconds in times.items():
        print(f"{name:32} {statistics.median(seconds):9.3f} {min(seconds):8.3f} {max(seconds):8.3f}")


if __name__ == "__main__":
    main()
