"""The tool that starts another pod."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from schemas.names import BindingState
from schemas.tools.base import Arguments, Category, Key, Result, Tool

Setting = bool | int | float | Annotated[str, Field(max_length=4096)]
"""A value of one of the class's options."""


class PermissionMode(StrEnum):
    """How freely an agent acts."""

    PLAN = "plan"
    DEFAULT = "default"
    ACCEPT_EDITS = "acceptEdits"
    BYPASS_PERMISSIONS = "bypassPermissions"


class CreatePod(Arguments):
    """The pod to make."""

    agent_type_id: Key
    """An agent of list_runners."""
    runner_id: Key | None = None
    """Absent: any that has a place."""
    ticket_id: Key | None = None
    """The ticket it shall work on."""
    initial_prompt: Annotated[str, Field(min_length=1, max_length=32_768)] | None = None
    model: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    repository_id: Key | None = None
    """The repository it shall work on."""
    repository_url: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    """Or one by its https:// or ssh:// address."""
    branch_name: Annotated[str, Field(min_length=1, max_length=250)] | None = None
    """Branch of its worktree; made if there is none."""
    credential_profile_id: Key | None = None
    """A ProviderKey; there are none yet: it is refused."""
    config_overrides: Annotated[dict[Key, Setting], Field(max_length=64)] | None = None
    """Values for options of the agent."""
    permission_mode: Annotated[PermissionMode, Field(strict=False)] = PermissionMode.PLAN


class CreatedPod(Result):
    """The pod, and the caller's binding to it."""

    pod_key: str
    status: str
    reason: str | None = None
    """Why it waits, if it does."""
    binding_id: str
    binding_status: BindingState


TOOLS = (
    Tool(
        "create_pod",
        Category.POD,
        "Start another agent pod. You may observe and drive its terminal.",
        CreatePod,
        CreatedPod,
    ),
)
