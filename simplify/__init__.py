"""simplify: can this transformer block be simpler, and what does it cost?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simplify.notebook import RunStore, load

__version__ = "0.1.0"
__all__ = ["RunStore", "__version__", "load"]


def __getattr__(name: str) -> object:
    """`from simplify import RunStore`, loaded when it is asked for: `--help` must not wait for it."""
    if name in ("RunStore", "load"):
        from simplify import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module 'simplify' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__doc__", "__file__", "__name__", "__path__"]
