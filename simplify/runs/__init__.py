"""Runs: identity, the run folder, metrics, and their mirror in W&B. Knows no torch."""
