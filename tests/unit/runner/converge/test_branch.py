"""Whether a pod's branch must be new, must exist, or may be either."""

from typing import Any

import pytest
from meshwire.v1 import link_pb2

from runner.converge.wishes import worktree_request


@pytest.mark.parametrize(
    ("epoch", "repository", "create"),
    [
        pytest.param(1, {}, None, id="the runner's own branch"),
        pytest.param(1, {"branch": "fix", "create_branch": True}, True, id="must be new"),
        pytest.param(1, {"branch": "fix"}, False, id="must exist"),
        pytest.param(
            1,
            {"branch": "fix", "create_branch": True, "continue_branch": True},
            None,
            id="made, or continued where it is there",
        ),
        pytest.param(
            1, {"branch": "fix", "continue_branch": True}, False, id="must exist all the same"
        ),
        pytest.param(
            2, {"branch": "fix", "create_branch": True}, None, id="its own, of an earlier placement"
        ),
        pytest.param(2, {"branch": "fix"}, False, id="must exist, whatever was before"),
    ],
)
def test_a_branch_is_made_or_continued_as_the_pod_says(
    epoch: int, repository: dict[str, Any], create: Any
) -> None:
    spec = link_pb2.RunSpec(
        repository=link_pb2.Repository(url="https://git.example/x", **repository)
    )
    ref = link_pb2.PodRef(pod_uid="u", epoch=epoch)
    pod = link_pb2.PodDesired(ref=ref, name="fix", spec=spec)
    assert worktree_request(pod, None).create is create
