"""Patches: RFC 7386 merge, RFC 6902 operations, strategic merge of built-in kinds. All pure."""
