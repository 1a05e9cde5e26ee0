"""Where tokenised text and what else is only kept to be faster lies. Knows nothing heavy: `status` asks for it."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from simplify.disk import expanded
from simplify.errors import DataError


def cache_dir() -> Path:
    """$SIMPLIFY_CACHE, else the user's cache folder of this system."""
    given = os.environ.get("SIMPLIFY_CACHE")
    if given:
        return expanded(given, "SIMPLIFY_CACHE").resolve()
    try:
        return platformdirs.user_cache_path("simplify")
    except RuntimeError:
        raise DataError(
            "the user's cache folder: nobody knows where it is (HOME is not set, or no such user); valid: "
            "SIMPLIFY_CACHE=DIR, a folder you may write to"
        ) from None
