"""Each block at its best: what is tried, what is dropped, what is chosen. Pure: no files, no clock, no torch."""
