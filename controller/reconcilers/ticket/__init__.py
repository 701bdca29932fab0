"""How Ticket resources are reconciled."""
