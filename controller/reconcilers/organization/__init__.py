"""How Organization resources are reconciled."""
