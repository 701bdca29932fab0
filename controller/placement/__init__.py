"""Which runner gets which pod, what it is told, and what it said."""
