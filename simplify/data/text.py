"""A file as text: UTF-8, or refused with what it is. What is plainly no text is not repaired into something else."""

from __future__ import annotations

from dataclasses import dataclass

READS = "simplify data prepare NAME --from DIR reads such files (docs/data.md)"
_UNPACK = "unpack it first"
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "gzip", READS),
    (b"\x28\xb5\x2f\xfd", "zstandard", READS),
    (b"\xfd7zXZ\x00", "xz", READS),
    (b"BZh", "bzip2", READS),
    (b"PAR1", "Parquet", READS),
    (b"ARROW1", "Arrow", READS),
    (b"PK\x03\x04", "a zip archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"\x04\x22\x4d\x18", "lz4", _UNPACK),
    (b"%PDF-", "PDF", "extract its text first, as pdftotext does"),
    (b"\xff\xfe\x00\x00", "UTF-32", "iconv -f UTF-32 -t UTF-8 makes text of it"),
    (b"\x00\x00\xfe\xff", "UTF-32", "iconv -f UTF-32 -t UTF-8 makes text of it"),
    (b"\xff\xfe", "UTF-16", "iconv -f UTF-16 -t UTF-8 makes text of it"),
    (b"\xfe\xff", "UTF-16", "iconv -f UTF-16 -t UTF-8 makes text of it"),
)
_BOM = b"\xef\xbb\xbf"
_FEW, _SHARE = 8, 0.01  # bytes that may be no UTF-8: so many, or this share of the characters


class NoText(Exception):
    """What a file is instead of text, and what to do with it."""


@dataclass(frozen=True)
class Text:
    """A file's text; `substitutes` stand in it for bytes that are no UTF-8."""

    text: str
    substitutes: int


def decoded(data: bytes) -> Text:
    """A file's bytes as text, without a mark of UTF-8 at its start, lines ended by one character. Raises NoText."""
    for magic, what, advice in _MAGIC:
        if data.startswith(magic):
            raise NoText(f"is {what}, not plain text; {advice}")
    if b"\x00" in data:
        raise NoText(_with_zeros(data))
    substitutes = 0
    try:
        text = data.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError:
        text = data.removeprefix(_BOM).decode("utf-8", "replace")
        substitutes = text.count("\ufffd") - data.count(b"\xef\xbf\xbd")
    if substitutes * 2 > len(text) or (substitutes > _FEW and substitutes > _SHARE * len(text)):
        raise NoText(
            f"is not UTF-8 ({substitutes:,} of {len(text):,} characters cannot be read); where it is text, "
            "iconv -f ITS_ENCODING -t UTF-8 makes it readable"
        )
    return Text(text.replace("\r\n", "\n").replace("\r", "\n"), substitutes)


def _with_zeros(data: bytes) -> str:
    """What a file with NUL bytes is: text of two or four bytes a character has them at regular places."""
    head = data[:4096]
    for size, name, places in ((4, "UTF-32", ((2, 3), (0, 1))), (2, "UTF-16", ((1,), (0,)))):
        for order, zeros in zip(("LE", "BE"), places, strict=True):
            share = min(head[place::size].count(0) / max(len(head[place::size]), 1) for place in zeros)
            if share > 0.4 and head.count(0) < 0.9 * len(head):
                return f"looks like {name}{order}, not UTF-8; iconv -f {name}{order} -t UTF-8 makes text of it"
    return "is binary (it has NUL bytes), not text; choose other files, or take these bytes out: tr -d '\\000'"
