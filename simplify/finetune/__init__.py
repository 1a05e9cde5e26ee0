"""A trained encoder on the tasks of GLUE: data, head, recipe, metrics, and what is kept in the run folder."""
