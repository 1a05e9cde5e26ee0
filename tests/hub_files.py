"""Small files in every format that `simplify data prepare --from` reads."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

from conftest import TEXT

TEXTS = [path.read_text()[:20_000] for path in sorted(TEXT.glob("*.py")) if path.stat().st_size][:16]


def write_files(folder: Path, kind: str, column: str = "text", texts: list[str] = TEXTS) -> None:
    """`texts` in two training files and a validation file of one of the hub's formats; txt: a document a file."""
    import datasets

    folder.mkdir(parents=True)
    split = {"train-0": texts[:6], "train-1": texts[6:12], "validation-0": texts[12:]}
    if kind == "saved":
        train, val = ([{column: t, "n": 1} for t in part] for part in (texts[:12], texts[12:]))
        datasets.DatasetDict(
            {"train": datasets.Dataset.from_list(train), "validation": datasets.Dataset.from_list(val)}
        ).save_to_disk(str(folder))
        return
    for name, part in split.items():
        table = datasets.Dataset.from_list([{column: text, "n": number} for number, text in enumerate(part)])
        lines = "".join(json.dumps({column: text, "n": 1}) + "\n" for text in part).encode()
        if kind == "parquet":
            table.to_parquet(str(folder / f"{name}.parquet"))
        elif kind == "arrow":
            write_arrow(table, folder / f"{name}.arrow")
        elif kind == "json":
            (folder / f"{name}.json").write_text(json.dumps([{column: text, "n": 1} for text in part]))
        elif kind.startswith("txt"):
            for number, text in enumerate(part):
                data = text.encode()
                path = folder / name / f"{number}.{kind}"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(gzip.compress(data) if kind.endswith("gz") else data)
        else:
            (folder / f"{name}.{kind}").write_bytes(packed(lines, kind))


def write_arrow(table: Any, path: Path) -> None:
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.data.table.schema) as writer:
        writer.write_table(table.data.table)


def packed(lines: bytes, kind: str) -> bytes:
    for library, suffix in ((gzip, "gz"), (bz2, "bz2"), (lzma, "xz")):
        if kind.endswith(suffix):
            return library.compress(lines)
    if kind.endswith("zst"):
        import zstandard

        return zstandard.compress(lines)
    return lines
