"""What the files of a GitSource say, and how they are changed. Pure: bytes and values, no I/O.

``select`` says which files are looked at, ``read`` what one declares; ``edit`` changes some fields
of a ticket's file and no other line, ``create`` makes a new one, ``merge`` reconciles what two
sides changed. Below them: ``dialect`` (the part of YAML that is allowed, as nodes that know where
they stand), ``frontmatter`` (bytes to text and back), ``shape`` (the schema), ``spans`` and
``emit`` (text changes), ``weave`` (lines of texts).
"""
