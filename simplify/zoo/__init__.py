"""The model zoo: one block algebra, and the decoder around it.

Shapes in signatures: B sequences in a (micro-)batch, T positions, d = d_model, H heads,
K key/value heads, h = d_head, f = d_ff, V vocabulary.
"""
