"""Git on the runner: the only modules that start it."""
