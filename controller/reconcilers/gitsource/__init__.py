"""How GitSource resources are reconciled: ``controller.gitops`` keeps them, this tells."""
