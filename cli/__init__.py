"""The command line: ``agentsmesh`` and ``kubectl mesh``."""
