"""How Repository resources are reconciled."""
