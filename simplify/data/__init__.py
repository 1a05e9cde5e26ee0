"""Text to tokens to batches. Knows no torch: batches are numpy arrays."""
