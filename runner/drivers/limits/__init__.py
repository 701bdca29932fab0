"""The limits of a pod: what keeps each on this machine, and the watching where nothing does."""
