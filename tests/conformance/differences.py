"""Where the embedded server differs from the real one, on purpose, and why.

Scenario and label of the step; ``*`` stands for every step.
"""

DIFFERENCES: dict[tuple[str, str], str] = {}
