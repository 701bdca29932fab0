"""Patches: RFC 7386 merge, RFC 6902 operations, strategic merge of built-in kinds.

All are pure: they return a new object and leave what they were given as it is.
"""

from apiserver.patches.errors import PatchError
from apiserver.patches.merge import merge_patch
from apiserver.patches.operations import json_patch
from apiserver.patches.strategic import strategic_merge

__all__ = ["PatchError", "json_patch", "merge_patch", "strategic_merge"]
