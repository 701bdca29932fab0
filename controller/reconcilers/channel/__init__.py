"""How Channel resources are reconciled."""
