"""Signal propagation: what happens to the stream, the gradient and the attention from layer to layer."""
