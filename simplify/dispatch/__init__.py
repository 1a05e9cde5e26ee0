"""Where runs are trained. For now: here, in the foreground."""
