"""The resources of AgentsMesh, one module per kind: the source of CRDs, validation and docs."""
