"""One folder per kind: ``observe`` gathers, ``checks``, ``plan`` and ``status`` are pure."""
