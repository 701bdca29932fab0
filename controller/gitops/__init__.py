"""GitSources: a folder of a git branch, and the resources that its files are, kept in step.

``files/`` says what a file says and how it is changed (pure); ``mirror`` speaks to git; ``index``
remembers what was seen; ``desired`` and ``apply`` decide (pure); ``sync`` carries out one pass and
``sources`` runs the passes of all sources; ``writeback/`` turns changes into commits.
"""
