"""The machine that turns events into reconciliations. It knows no kind."""
