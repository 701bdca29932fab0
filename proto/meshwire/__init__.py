"""The wire between controller, runners and people's terminals."""
