"""How AgentClass resources are reconciled."""
