"""Terminals of pods on the user's screen: ``attach`` and ``logs``."""
