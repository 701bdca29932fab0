"""Control groups for runs, where the machine has them: v2 delegated to us, v1, both, or none."""
