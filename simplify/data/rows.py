"""The text column of one file in a format of the hub, row by row; nothing else of the file is looked at."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import json
import lzma
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from simplify.data.text import NoText, decoded
from simplify.errors import DataError

PACKED = (".gz", ".zst", ".bz2", ".xz")


def rows(path: Path, kind: str, column: str) -> Iterator[str | None]:
    """The texts of a file; None for a row that has none. Raises DataError with the file's name for what is wrong."""
    readers = {"json": _json, "parquet": _parquet, "arrow": _arrow, "text": _text}
    number = 0
    try:
        for number, value in enumerate(readers[kind](path, column), 1):
            if value is not None and not isinstance(value, str):
                raise DataError(
                    f"data.text_column={column}: no text in --from {path}, row {number}, but {type(value).__name__}"
                )
            if value is not None:
                value.encode()  # half a character cannot be kept
            yield value
    except (DataError, MemoryError):
        raise
    except Exception as error:  # each library has its own
        where = f"{path}: " if number == 0 else f"{path}, after row {number}: "
        raise DataError(f"--from {where}cannot be read: {_reason(error)}; repair it or take it out") from None


def all_rows(files: Sequence[tuple[str, int, int]], kind: str, column: str) -> Iterator[dict[str, str | None]]:
    """Of several files: name, size and time of each, so that a copy of them is known by what it was made of."""
    for name, *_ in files:
        for value in rows(Path(name), kind, column):
            yield {column: value}


def columns(path: Path, kind: str) -> list[str]:
    """The names of a file's columns, as its first row has them."""
    if kind == "json":
        return list(next(_records(path), {}))
    return _table(path, kind).schema.names if kind in ("parquet", "arrow") else ["text"]


def _reason(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "it ends too early"
    if isinstance(error, gzip.BadGzipFile):
        return "it is not gzip"
    return " ".join(str(error).split())[:200] or type(error).__name__


def _json(path: Path, column: str) -> Iterator[Any]:
    return (record.get(column) for record in _records(path))


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of JSON lines, or of one list."""
    with _opened(path) as file:
        first = file.read(1)
        while first and first in b" \t\r\n\xef\xbb\xbf":
            first = file.read(1)
        if first == b"[":
            for record in json.loads(first + file.read()):
                yield _record(record, "an entry of the list")
            return
        for number, line in enumerate(file, 1):
            text, first = first + line, b""
            if text.strip():
                try:
                    record = json.loads(text)
                except ValueError as error:
                    raise ValueError(f"line {number} is no JSON: {error}") from None
                yield _record(record, f"line {number}")


def _record(record: Any, where: str) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise ValueError(f"{where} is no object with columns, but {type(record).__name__}")
    return record


def _parquet(path: Path, column: str) -> Iterator[Any]:
    table = _table(path, "parquet")
    if column not in table.schema.names:
        yield from [None] * table.metadata.num_rows
        return
    for batch in table.iter_batches(batch_size=256, columns=[column]):
        yield from batch.column(0).to_pylist()


def _arrow(path: Path, column: str) -> Iterator[Any]:
    table = _table(path, "arrow")
    streamed = not hasattr(table, "num_record_batches")
    for batch in table if streamed else map(table.get_batch, range(table.num_record_batches)):
        yield from batch.column(column).to_pylist() if column in batch.schema.names else [None] * batch.num_rows


def _table(path: Path, kind: str) -> Any:
    if kind == "parquet":
        return importlib.import_module("pyarrow.parquet").ParquetFile(path)
    pa = importlib.import_module("pyarrow")
    with open(path, "rb") as file:
        whole = file.read(6) == b"ARROW1"
    return (pa.ipc.open_file if whole else pa.ipc.open_stream)(pa.memory_map(str(path)))


def _text(path: Path, column: str) -> Iterator[str]:  # noqa: ARG001 - a file is a document
    with _opened(path) as file:
        data = file.read()
    try:
        yield decoded(data).text
    except NoText as what:
        raise DataError(f"--from {path}: {what}") from None


def _opened(path: Path) -> IO[bytes]:
    suffix = path.suffix.lower()
    if suffix == ".zst":
        stream: Any = importlib.import_module("pyarrow").input_stream(str(path), compression="zstd")
        return io.BufferedReader(stream)  # unlike others it tells where a file ends too early
    opener = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(suffix, open)
    return opener(path, "rb")
