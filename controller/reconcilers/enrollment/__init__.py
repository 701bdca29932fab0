"""How RunnerEnrollment resources are reconciled."""
