"""What is asked of an API server: each scenario is a story, told to the embedded and the real one.

A scenario works in a namespace of its own, named after it. Names of upstream's integration tests
are facts; the stories are ours.
"""

from tests.conformance.scenario import SCENARIOS, WIDGET_CRD
from tests.conformance.stories import (
    access,
    builtin,
    definitions,
    deletion,
    lists,
    objects,
    ours,
    quotas,
    requests,
    watches,
)

__all__ = ["SCENARIOS", "WIDGET_CRD"]

STORIES = (objects, requests, lists, watches, builtin, access, definitions, deletion, quotas, ours)
"""The modules, named so that their import is seen to have a use."""
