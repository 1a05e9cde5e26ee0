"""simplify: can this transformer block be simpler, and what does it cost?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simplify.runs.store import RunStore

__version__ = "0.1.0"
__all__ = ["RunStore", "__version__"]


def __getattr__(name: str) -> object:
    """`from simplify import RunStore`, loaded when it is asked for: `--help` must not wait for it."""
    if name == "RunStore":
        from simplify.runs.store import RunStore

        return RunStore
    raise AttributeError(f"module 'simplify' has no attribute {name!r}")
