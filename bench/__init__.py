"""How fast we are: each measure side by side with its floor or its alternatives, in one run.

``make bench`` prints the table; ``make bench ARGS="start burst"`` only those.
Machines are noisy: read the ratios, not the times.
"""
