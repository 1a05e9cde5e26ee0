"""How well a plan's times from FLOPs and one product of matrices agree with steps that are made.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/estimate.py [--rounds N] ['key=value ...' ...]

Each argument is a model. In each round a product is measured as a plan does it, then a step of each model, so that both
meet the same load; what counts is the ratio of a round, estimate over step.
"""

from __future__ import annotations

import argparse
import statistics

from simplify.compose import compose_run
from simplify.sweep.measured import measure_product
from simplify.sweep.places import place_of
from simplify.sweep.steps import modelled
from simplify.training.timing import step_seconds

MODELS = (
    "model=gpt_nano block=pre_ln",
    "model=gpt_nano block=sas",
    "model=gpt_nano model.n_layers=24 train.batch_tokens=512",
    "model.n_layers=1 model.d_model=768 model.n_heads=12 model.d_ff=3072 train.batch_tokens=512",
    "model=gpt_nano block=peri_ln",
    "model=gpt_nano model.positions=alibi",
    "model=bert_nano",
)


def main() -> None:
    """Measure in turn and print a line a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    configs = {
        words: compose_run(["train.device=cpu", "train.precision=fp32", *words.split()]) for words in asked.models
    }
    ratios: dict[str, list[float]] = {words: [] for words in configs}
    for _ in range(asked.rounds):
        for words, config in configs.items():
            place = place_of(config)
            tera = measure_product(config, place)
            if not isinstance(tera, float):
                raise SystemExit(tera)
            ratios[words].append(modelled(config, place, tera) / step_seconds(config))
    for words, found in ratios.items():
        print(f"{statistics.median(found):5.2f}  ({min(found):.2f} to {max(found):.2f})  {words}", flush=True)


if __name__ == "__main__":
    main()
