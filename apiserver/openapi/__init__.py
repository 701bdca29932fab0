"""OpenAPI v3 documents: what ``kubectl apply``, ``create`` and ``explain`` read."""
