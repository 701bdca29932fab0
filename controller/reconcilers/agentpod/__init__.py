"""How AgentPod resources are reconciled."""
