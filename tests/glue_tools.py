"""Small GLUE-like tasks in the files of GLUE's own download, which a small model can learn."""

from __future__ import annotations

import random
from pathlib import Path

# Words of the text that the tests' encoders are pre-trained on.
_WORDS = [
    "self",
    "loop",
    "future",
    "task",
    "event",
    "return",
    "None",
    "raise",
    "await",
    "async",
    "import",
    "def",
    "class",
]


def sentence(chance: random.Random, length: int = 6) -> list[str]:
    """Words at random, without the one that decides."""
    return [chance.choice(_WORDS) for _ in range(length)]


def write_sst2(root: Path, train: int = 256, dev: int = 80) -> None:
    """A sentence is positive where it has the word `True`, and negative where it has `False`."""
    folder, chance = root / "SST-2", random.Random(1)
    folder.mkdir(parents=True)
    for name, count in (("train", train), ("dev", dev)):
        lines = ["sentence\tlabel"]
        for _ in range(count):
            label, words = chance.randrange(2), sentence(chance)
            words[chance.randrange(len(words))] = ("False", "True")[label]
            lines.append(f"{' '.join(words)}\t{label}")
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")


def write_stsb(root: Path, train: int = 256, dev: int = 80) -> None:
    """The score is 5 for the share of `True` among the `True` and `False` of both sentences."""
    folder, chance = root / "STS-B", random.Random(2)
    folder.mkdir(parents=True)
    header = [
        "index",
        "genre",
        "filename",
        "year",
        "old_index",
        "source1",
        "source2",
        "sentence1",
        "sentence2",
        "score",
    ]
    for name, count in (("train", train), ("dev", dev)):
        lines = ["\t".join(header)]
        for index in range(count):
            share = chance.random()
            parts = [["True" if chance.random() < share else "False" for _ in range(4)] for _ in range(2)]
            score = 5 * sum(part.count("True") for part in parts) / 8
            texts = [" ".join(part) for part in parts]
            lines.append("\t".join([str(index), "g", "f", "2012", "0", "s", "s", *texts, f"{score:.3f}"]))
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")


# The files of each task as GLUE's download has them: a header (CoLA: none) and some lines.
LAYOUTS: dict[str, list[str]] = {
    "CoLA/train": ["gj04\t1\t\tThey drank the pub.", 'gj04\t0\t*\tThe "car" honked down the road.'],
    "CoLA/dev": ["gj04\t1\t\tBill sank."],
    "SST-2/train": ["sentence\tlabel", "a fine film \t1", "no fun \t0"],
    "SST-2/dev": ["sentence\tlabel", "dull \t0"],
    "MRPC/train": [
        "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
        '1\t702876\t702977\tHe said " yes .\tYes , he said .',
    ],
    "MRPC/dev": ["Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", "0\t1\t2\tA .\tB ."],
    "STS-B/train": [
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
        "0\tmain\tMSR\t2012\t0001\tnone\tnone\tA plane is taking off.\tAn air plane takes off.\t4.750",
    ],
    "STS-B/dev": [
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
        "0\tmain\tMSR\t2012\t0001\tnone\tnone\tA man.\tA cat.\t0.500",
        "1\tmain\tMSR\t2012\t0002\tnone\tnone\tThey run.\tThey are running.\t4.000",
    ],
    "QQP/train": [
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
        "1\t1\t2\tWhy?\tHow so?\t1",
        "2\t3\t4\tA line that some copies have torn",
        "3\t5\t6\tWho?\tWhen?\t0",
    ],
    "QQP/dev": ["id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "1\t1\t2\tWhat?\tWhat now?\t0"],
    "MNLI/train": [
        "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\t"
        "sentence2_parse\tsentence1\tsentence2\tlabel1\tgold_label",
        "0\t3\t3n\tgov\t( a )\t( b )\t(R)\t(R)\tIt rains.\tIt is wet.\tneutral\tentailment",
        "1\t4\t4c\tgov\t( a )\t( b )\t(R)\t(R)\tIt snows.\tIt is hot.\tneutral\tcontradiction",
    ],
    "MNLI/dev_matched": [
        "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\t"
        "sentence2_parse\tsentence1\tsentence2\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label",
        "0\t3\t3n\tgov\t( a )\t( b )\t(R)\t(R)\tMatched.\tYes.\tneutral\tneutral\tneutral\tneutral\tneutral\tneutral",
    ],
    "QNLI/train": ["index\tquestion\tsentence\tlabel", "0\tWhen?\tIn 1999.\tentailment"],
    "QNLI/dev": ["index\tquestion\tsentence\tlabel", "0\tWho?\tIn 1999.\tnot_entailment"],
    "RTE/train": ["index\tsentence1\tsentence2\tlabel", "0\tNo weapons.\tWeapons.\tnot_entailment"],
    "RTE/dev": ["index\tsentence1\tsentence2\tlabel", "0\tIt is.\tIt is.\tentailment"],
}
LAYOUTS["MNLI/dev_mismatched"] = [line.replace("Matched", "Mismatched") for line in LAYOUTS["MNLI/dev_matched"]]


def write_layouts(root: Path) -> None:
    """All tasks, a few lines each."""
    for name, lines in LAYOUTS.items():
        path = root / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
