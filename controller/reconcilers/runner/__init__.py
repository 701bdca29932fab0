"""How Runner resources are reconciled."""
