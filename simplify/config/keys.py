"""Which setting of a run a word names."""

from __future__ import annotations

from simplify.config.base import closest
from simplify.config.kinds import full_keys
from simplify.config.run import RunConfig


def full_key(word: str) -> str:
    """The full key of the setting that `word` names: itself, or the only one that ends so, as `lr` is optimiser.lr.

    Raises ValueError, which says what is valid.
    """
    known = list(dict.fromkeys(full_keys(RunConfig)))
    if word in known:
        return word
    ends: dict[str, list[str]] = {}
    for key in known:
        ends.setdefault(key.rpartition(".")[2], []).append(key)
    meant = [key for key in known if key.endswith(f".{word}")]
    outer = min((key.count(".") for key in meant), default=0)  # `value` is block.value, and not a rule's number
    meant = [key for key in meant if key.count(".") == outer]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise ValueError(f"{word}: may be one of several settings; valid: the full key: {', '.join(meant)}")
    near = closest(word, known, 0.7)
    meant = [near] if near else ends.get(closest(word, ends) or "", [])
    hint = f"did you mean {' or '.join(meant[:3])}? " if meant else ""
    raise ValueError(
        f"{word}: is no setting; {hint}valid: a setting's key, as optimiser.lr (simplify train --help lists them)"
    )
