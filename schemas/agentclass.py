"""AgentClass: how an agent is started, as data; a new agent needs no release."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from schemas.base import READY_COLUMNS, Column, Definition, Model, Object, Rule, Status
from schemas.names import AGENT_CLASS
from schemas.quoting import TextFormat

EnvironmentName = Annotated[
    str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
]
Argument = Annotated[str, Field(max_length=32768, pattern=r"^[^\x00]*$")]


class EnvironmentVariable(Model):
    """A variable in the agent's environment. Never a secret: keys come from provider keys."""

    name: EnvironmentName
    """Name of the variable."""
    value: Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")] = ""
    """Its value, taken literally but for $(NAME), as in args."""


class PromptPosition(StrEnum):
    """How an agent takes its first prompt."""

    ARGUMENT = "argument"
    FLAG = "flag"
    TYPED = "typed"
    NONE = "none"


class PromptStyle(Model):
    """How the agent takes its first prompt."""

    position: PromptPosition = PromptPosition.ARGUMENT
    """argument: as the last argument. flag: after `flag`. typed: into its terminal, once it is
    ready. none: not at all; then, and without `readiness.regex`, it takes no later prompts either:
    mentions in channels and requests to be bound are not typed into it, for a shell would carry
    them out."""
    flag: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """The flag, for position flag."""
    submit_keys: Annotated[str, Field(min_length=1, max_length=16)] = "\r"
    """What submits a typed prompt."""


class McpFormat(StrEnum):
    """How an agent is told of an MCP server."""

    CLAUDE = "claude"
    CODEX = "codex"
    GEMINI = "gemini"
    OPENCODE = "opencode"
    NONE = "none"


class Mcp(Model):
    """How the agent is told of the MCP server."""

    format: McpFormat = McpFormat.NONE
    """Whose configuration the agent reads; none: it has no MCP client."""


class KeyRequirement(Model):
    """A provider's key that the agent uses."""

    provider: Annotated[str, Field(min_length=1, max_length=63)]
    """The provider, such as anthropic."""
    env: EnvironmentName
    """The environment variable in which the agent expects the key."""
    optional: bool = False
    """Whether the agent starts without it."""


class ModelStyle(Model):
    """How the agent is told its model."""

    flag: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """A flag followed by the model."""
    env: EnvironmentName | None = None
    """An environment variable that holds the model."""


class PermissionModes(Model):
    """Arguments that put the agent into each permission mode."""

    plan: Annotated[tuple[Argument, ...], Field(max_length=16)] | None = None
    """Looks and proposes, changes nothing."""
    default: Annotated[tuple[Argument, ...], Field(max_length=16)] | None = None
    """As the agent does by itself."""
    accept_edits: Annotated[tuple[Argument, ...], Field(max_length=16)] | None = None
    """Edits files without asking."""
    bypass_permissions: Annotated[tuple[Argument, ...], Field(max_length=16)] | None = None
    """Asks nothing."""


class HomeFile(Model):
    """A file in the pod's private home."""

    path: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^/\x00][^\x00]*$")]
    """Path below the home; no `..`."""
    content: Annotated[str, Field(max_length=32768)]
    """Its text, taken literally but for $(NAME), as in args."""
    format: TextFormat | None = None
    """json, toml: what $(NAME) stands for is escaped as between double quotes, which the content
    has around it; a value cannot end its text. text, or nothing: as it is."""
    keep: bool | None = None
    """True: written before the first start only; what the agent makes of it stays when it is
    started again. Otherwise it is written before each start."""


class OptionType(StrEnum):
    """What values an option takes."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"


class Option(Model):
    """A setting of the agent that a pod may choose."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")]
    """Its name in AgentPod.spec.config."""
    type: OptionType = OptionType.STRING
    """string, integer, number or boolean."""
    description: Annotated[str, Field(max_length=1024)] | None = None
    """What it does."""
    values: Annotated[tuple[Annotated[str, Field(max_length=256)], ...], Field(max_length=64)] = ()
    """For strings: the only values there are; any if not given."""
    minimum: int | None = None
    """For numbers: at least this."""
    maximum: int | None = None
    """For numbers: at most this."""
    flag: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """A flag of the agent, followed by the value; for a boolean the flag alone, when true. A text
    that begins with - is refused then, unless `values` has it."""
    env: EnvironmentName | None = None
    """An environment variable of the agent that holds the value: true and false for a boolean."""
    args: Annotated[tuple[Argument, ...], Field(max_length=16)] = ()
    """Arguments, in place of `flag`: $(VALUE) is the value, and $(HOME), $(WORKTREE) as in `args`.
    For a boolean they are given when it is true."""
    format: TextFormat | None = None
    """Of `args`. json, toml: the value is escaped as between double quotes, which the arguments
    have around it, as in -c key="$(VALUE)". text: as it is."""


class ReadinessSign(Model):
    """How the agent's terminal shows that it takes a prompt."""

    regex: Annotated[str, Field(max_length=512)] | None = None
    """Searched on the screen, `^` and `$` at the ends of its lines, in linear time (Rust's syntax:
    no look-around, no back references). The line of the cursor is searched with the blanks before
    the cursor, too; others have none at their end. Without one: two quiet seconds. With
    `prompt.position` none it is also what says that the program reads prompts at all."""
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """How long to wait for it."""


class ActivityHooks(StrEnum):
    """What the agent itself tells of what it does."""

    CLAUDE = "claude"
    NONE = "none"


class ActivitySigns(Model):
    """How executing, waiting and idle are told apart.

    Patterns are searched on the screen, line by line, and in the terminal's title; of several that
    are seen, waiting counts before executing, and executing before idle.
    """

    waiting: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=32)] = ()
    """The agent asks a person something: a permission, a choice, an answer."""
    executing: Annotated[
        tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=32)
    ] = ()
    """The agent is at work, even where it prints nothing."""
    idle: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=32)] = ()
    """The agent has done what it was told and takes the next prompt."""
    idle_seconds: Annotated[int, Field(ge=1, le=3600)] = 10
    """Without a sign: so long without output, and with no process of it at work, is idle."""
    stuck_seconds: Annotated[int, Field(ge=10, le=86400)] = 900
    """At work by its signs, and so long without output or use of the processor: condition Stuck."""
    hooks: ActivityHooks = ActivityHooks.NONE
    """claude: its HTTP hooks, given in --settings, say what it does."""


class Resume(Model):
    """How an agent that ended is started again in the same worktree and home."""

    args: Annotated[tuple[Argument, ...], Field(max_length=32)] = ()
    """Arguments that make it go on with its own session; they follow all others. As `args`."""
    prompt: bool = False
    """Whether it is given the first prompt once more: only for programs that may be told twice."""
    session_files: (
        Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^/\x00][^\x00]*$")] | None
    ) = None
    """Where the agent keeps its sessions: a path below the pod's home, with * and ? within a name.
    `args` are given where such a file is there: some agents end at once when told to go on with a
    session that never began."""


class SetupScript(Model):
    """A script that makes a new worktree ready, run inside the pod's sandbox."""

    script: Annotated[str, Field(min_length=1, max_length=32768, pattern=r"^[^\x00]*$")]
    """Its text: run by /bin/sh -eu in the worktree, unless its first line names an interpreter.
    What it prints is in the pod's terminal."""
    timeout_seconds: Annotated[int, Field(ge=1, le=7200)] = 600
    """After so long it is ended, and the pod has failed."""


class WorktreeStyle(Model):
    """What the agent needs of its worktree."""

    setup: SetupScript | None = None
    """Run in each new worktree, after the Repository's, before the agent starts."""
    depth: Annotated[int, Field(ge=1, le=1000000)] | None = None
    """Only so many commits of the history are fetched; all if not given."""
    filter: Annotated[str, Field(pattern=r"^(blob:none|tree:0)$", max_length=16)] | None = None
    """blob:none or tree:0: contents are fetched for what is checked out, not for the history.
    Source: git rev-list, --filter."""


class AgentClassSpec(Model):
    """How the agent is started."""

    executable: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\x00]+$")]
    """Program to start: a name that the runner looks up in its search path, or an absolute path."""
    version_command: Annotated[tuple[Argument, ...], Field(max_length=16)] | None = None
    """Arguments that make the program print its version to its standard output: list_runners shows
    the first line. A runner with bubblewrap runs it once for each program that it finds, without
    network, with an empty home, for at most ten seconds. Without bubblewrap, or with more than 1024
    bytes of arguments, the version is not known."""
    minimum_version: Annotated[str, Field(max_length=64, pattern=r"^[0-9]+(\.[0-9]+)*$")] | None = (
        None
    )
    """The oldest version that this class fits, such as 2.1.330: compared with the first number that
    has a dot in it of what `versionCommand` prints. No pod is placed where the program is known to
    be older."""
    args: Annotated[tuple[Argument, ...], Field(max_length=128)] = ()
    """Its arguments. $(MODEL), $(POD), $(ORGANIZATION), $(WORKTREE), $(HOME) and the names in
    `environment` are expanded; $$ is a dollar; nothing else is interpreted."""
    environment: Annotated[tuple[EnvironmentVariable, ...], Field(max_length=64)] = ()
    """Variables for its environment."""
    prompt: PromptStyle = PromptStyle()
    """How it takes its first prompt."""
    model: ModelStyle | None = None
    """How it is told its model."""
    permission_modes: PermissionModes | None = None
    """Arguments for each permission mode."""
    mcp: Mcp = Mcp()
    """How it is told of the MCP server."""
    keys: Annotated[tuple[KeyRequirement, ...], Field(max_length=16)] = ()
    """Provider keys that it uses."""
    home_files: Annotated[tuple[HomeFile, ...], Field(max_length=32)] = ()
    """Files in the pod's private home, written before the start."""
    readiness: ReadinessSign = ReadinessSign()
    """How its terminal shows that it takes a typed prompt."""
    activity: ActivitySigns = ActivitySigns()
    """How executing, waiting and idle are told apart."""
    resume: Resume | None = None
    """How it is started again after it was stopped or has failed; without it: with args alone, and
    without its prompt, which it was given already."""
    worktree: WorktreeStyle = WorktreeStyle()
    """What it needs of its worktree."""
    options: Annotated[
        tuple[Option, ...],
        Field(
            max_length=64,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
        ),
    ] = ()
    """What AgentPod.spec.config may set. Flags follow all other arguments, in this order; variables
    win over those of `environment`."""


class AgentClassStatus(Status):
    """What is known of the class."""


class AgentClass(Object):
    """How an agent is started: program, arguments, prompt, model, keys. Made by administrators."""

    definition: ClassVar = Definition(
        resource=AGENT_CLASS,
        short_names=("aclass",),
        columns=(Column("Executable", ".spec.executable"), *READY_COLUMNS),
        spec_rules=(
            Rule(
                "self.prompt.position != 'flag' || has(self.prompt.flag)",
                "prompt.flag is required when prompt.position is flag",
                ".prompt",
            ),
            Rule(
                "!has(self.homeFiles) || !self.homeFiles.exists(f, "
                "f.path.split('/').exists(s, s == '..'))",
                "homeFiles paths must not contain '..'",
                ".homeFiles",
            ),
        ),
    )

    spec: AgentClassSpec
    """How the agent is started."""
    status: AgentClassStatus = AgentClassStatus()
    """What is known of the class."""
