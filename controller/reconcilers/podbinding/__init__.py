"""How PodBinding resources are reconciled: what they are worth is written into their status."""
