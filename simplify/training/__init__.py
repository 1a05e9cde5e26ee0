"""Training one run: data, model, optimiser, restore, loop, end marker."""
