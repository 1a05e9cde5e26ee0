"""Simplify: can this transformer block be simpler, and what does it cost?"""

__version__ = "0.1.0"
