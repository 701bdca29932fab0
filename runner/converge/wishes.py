"""What a PodDesired says, in the words of drivers: pure but for a look at a pod's home."""

from pathlib import Path

from meshwire.v1 import link_pb2

from gitaccess.credentials import Credentials
from runner.drivers import agents
from runner.drivers.worktree_values import WorktreeRequest


def without_prompt(pod: link_pb2.PodDesired) -> link_pb2.PodDesired:
    """Return the pod as it is when it was given its prompt already."""
    bare = link_pb2.PodDesired()
    bare.CopyFrom(pod)
    bare.spec.prompt = ""
    return bare


def resume_args(resume: link_pb2.Resume, home: Path) -> tuple[str, ...]:
    """Return what makes the agent go on with its session; nothing where it has none yet."""
    if resume.session_files and not agents.has_file(home, resume.session_files):
        return ()
    return tuple(resume.args)


def worktree_request(pod: link_pb2.PodDesired, secrets: Credentials | None) -> WorktreeRequest:
    """Return which code the pod works on."""
    repository = pod.spec.repository
    create: bool | None = None  # a pod that was placed before may find its own branch upstream
    either = repository.create_branch and (pod.ref.epoch > 1 or repository.continue_branch)
    if repository.branch and not either:
        create = repository.create_branch
    return WorktreeRequest(
        uid=pod.ref.pod_uid,
        pod=pod.name,
        url=repository.url,
        ref=repository.ref,
        branch=repository.branch,
        create=create,
        default_branch=repository.default_branch,
        credentials=secrets,
        namespace=pod.namespace,
        repository=repository.name,
        include=tuple(repository.include),
        warm=repository.warm_worktrees,
        depth=repository.depth,
        filter=repository.filter,
        submodules=repository.submodules,
        lfs=repository.lfs,
    )
