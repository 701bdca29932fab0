"""How the built-in types are written down, and what all of them have.

A type is written as its description and its fields; a field as its shape and its description.
Shapes: ``string``, ``int32``, ``int64``, ``bool``, ``bytes``, ``time``, ``micro`` (a time with
microseconds), ``any``, ``int-or-string``, or the name of a type; ``[]`` behind it makes a list of
it, ``{}`` a map from string to it, a ``*`` at the very end says that the field must be given.
"""

from collections.abc import Mapping
from typing import Final

Fields = Mapping[str, tuple[str, str]]

TYPE: Final[Fields] = {
    "apiVersion": ("string", "Group and version of this object's type."),
    "kind": ("string", "Name of this object's type, in CamelCase."),
}
OBJECT: Final[Fields] = {
    **TYPE,
    "metadata": ("ObjectMeta", "Name, labels and the like: what every object has."),
}
