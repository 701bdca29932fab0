"""``x-kubernetes-validations``: the rules of a schema, compiled, and run over an object.

A rule that mentions oldSelf is a transition rule: it runs only where there is an older value to
compare with, found by the same path, in map lists by the same keys.
"""

import re
import time
from dataclasses import dataclass
from typing import Any, Final

from apiserver.schema.cel import CelError, Program, Scope
from apiserver.schema.celtypes import (
    align,
    field_type,
    needs_conversion,
    prepare,
    to_cel,
    whole_object,
)
from apiserver.schema.equality import identical
from apiserver.schema.errors import NO_VALUE, FieldError, invalid
from apiserver.schema.structural import MISSING, Node, RuleSource
from apiserver.schema.values import by_keys, key_of, kind_of

BUDGET_SECONDS: Final = 1.0
"""All rules of one object together; one that is under way is bounded by its iterations."""

_LONGEST_MESSAGE: Final = 5 * 1024

FIELD_PATH: Final = re.compile(r"\.?([A-Za-z_][\w-]*)|\[\s*['\"](.+?)['\"]\s*\]")


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One rule, ready to run."""

    source: RuleSource
    program: Program | None
    """None if the rule does not compile: then no value satisfies it."""
    message: Program | None


class Ruleset:
    """All rules of one schema, compiled at the first use.

    Args:
        root: The schema. A rule that does not compile refuses every value; CRDs with such are not
            admitted in the first place.
    """

    def __init__(self, root: Node) -> None:
        self._root = root
        self._compiled: dict[int, tuple[list[CompiledRule], bool]] = {}

    def run(self, obj: dict[str, Any], old: dict[str, Any] | None) -> list[FieldError]:
        """Return the rules that *obj* breaks."""
        if not self._root.rules_below:
            return []
        walk = _Walk(self, time.monotonic() + BUDGET_SECONDS)
        before = MISSING if old is None else old
        walk.visit(self._root, obj, before, "", root=True, changed=True)
        return walk.errors

    def rules_of(self, node: Node, *, root: bool) -> tuple[list[CompiledRule], bool]:
        """Return the rules of one node, and whether its values must be converted for them."""
        known = self._compiled.get(id(node))
        if known is None:
            rules = [_compile_anyway(rule, node, root=root) for rule in node.rules]
            known = self._compiled[id(node)] = (rules, needs_conversion(node))
        return known


def _compile_anyway(rule: RuleSource, node: Node, *, root: bool) -> CompiledRule:
    try:
        return compile_rule(rule, node, root=root)
    except CelError:
        return CompiledRule(rule, None, None)


def compile_rule(rule: RuleSource, node: Node, *, root: bool) -> CompiledRule:
    """Return *rule*, which stands at *node*, ready to run.

    Raises:
        CelError: The rule does not compile, or gives no bool.
    """
    optional = rule.optional_old_self
    program = _program(rule.rule, node, root=root, optional=optional)
    if _type_of(program, rule.rule, node, root=root) not in {"BOOL", "DYN"}:
        raise CelError("cel expression must evaluate to a bool")
    return CompiledRule(
        source=rule,
        program=program,
        message=compile_message(rule, node, root=root),
    )


def compile_message(rule: RuleSource, node: Node, *, root: bool) -> Program | None:
    """Return the expression of a rule's message, None if it has none.

    Raises:
        CelError: It does not compile, or gives no string.
    """
    if not rule.message_expression:
        return None
    optional = rule.optional_old_self
    program = _program(rule.message_expression, node, root=root, optional=optional)
    if _type_of(program, rule.message_expression, node, root=root) not in {"STRING", "DYN"}:
        raise CelError("messageExpression must evaluate to a string")
    return program


def _program(source: str, node: Node, *, root: bool, optional: bool) -> Program:
    try:
        prepared = prepare(source, node, root=root, optional_old=optional)
    except CelError as exc:
        Program(source, optional_old=optional)  # what the library has to say comes first
        raise CelError(_located(str(exc), source)) from exc
    return Program(prepared, optional_old=optional)


def _type_of(program: Program, source: str, node: Node, *, root: bool) -> str:
    """Return the type of what an expression gives: of a field alone the schema knows it."""
    if program.returns != "DYN":
        return program.returns
    return field_type(source, node, root=root)


def _located(text: str, source: str) -> str:
    """Return the complaint on a field with its place, as the library writes it."""
    name = text.split("'")[1]
    found = re.search(rf"\.\s*{re.escape(name)}\b", source)
    column = found.start() + 1 if found else 1
    first = source.splitlines()[0] if source else ""
    return f"ERROR: <input>:1:{column}: {text}\n | {first}\n | {'.' * (column - 1)}^"


class _Walk:
    """One run over one object."""

    def __init__(self, rules: Ruleset, deadline: float) -> None:
        self._rules = rules
        self._deadline = deadline
        self._exhausted = False
        self.errors: list[FieldError] = []

    def visit(
        self, node: Node, value: Any, old: Any, path: str, *, changed: bool, root: bool = False
    ) -> None:
        """Run the rules of *node* and of everything below that has a value.

        What is as it was is not complained about again; only transition rules see it.
        """
        if not node.rules_below or self._exhausted or value is None:
            return
        changed = changed and (old is MISSING or not identical(value, old))
        if not changed and not node.transitions_below:
            return
        if node.rules:
            self._run(node, value, old, path, changed=changed, root=root)
        if isinstance(value, dict):
            self._visit_map(
                node, value, old if isinstance(old, dict) else {}, path, changed=changed
            )
        elif isinstance(value, list) and node.items is not None:
            keyed = by_keys(node, old)
            for index, item in enumerate(value):
                was = keyed.get(key_of(node, item), MISSING) if keyed else MISSING
                self.visit(node.items, item, was, f"{path}[{index}]", changed=changed)

    def _visit_map(
        self, node: Node, value: dict[str, Any], old: dict[str, Any], path: str, *, changed: bool
    ) -> None:
        prefix = f"{path}." if path else ""
        for key, child in node.ruled.items():
            if key in value:
                was = old.get(key, MISSING)
                self.visit(child, value[key], was, prefix + key, changed=changed)
        extra = node.additional
        if extra is not None and extra.rules_below:
            for key, item in value.items():
                self.visit(extra, item, old.get(key, MISSING), f"{path}[{key}]", changed=changed)

    def _run(
        self, node: Node, value: Any, old: Any, path: str, *, changed: bool, root: bool
    ) -> None:
        rules, convert = self._rules.rules_of(node, root=root)
        has_old = old is not MISSING and old is not None
        scope = Scope(
            _shown(node, value, convert=convert, root=root),
            _shown(node, align(node, value, old), convert=convert, root=root) if has_old else None,
            has_old=has_old,
        )
        for rule in rules:
            source = rule.source
            if source.needs_old and not source.optional_old_self and not has_old:
                continue
            if not changed and not source.needs_old:
                continue  # it was so before: a warning at most
            if time.monotonic() > self._deadline:
                self._exhaust(path, rule)
                return
            self._apply(rule, scope, value, path)

    def _exhaust(self, path: str, rule: CompiledRule) -> None:
        self._exhausted = True
        words = "validation failed due to running out of cost budget, no further validation rules"
        text = f"{words} will be run, at rule: {rule.source.rule.strip()}"
        self.errors.append(invalid(path or "<nil>", NO_VALUE, text))

    def _apply(self, rule: CompiledRule, scope: Scope, value: Any, path: str) -> None:
        source = rule.source
        try:
            outcome = rule.program is not None and rule.program.run(scope)
        except CelError as exc:
            detail = f"{exc} evaluating rule: {source.message or source.rule.strip()}"
            self.errors.append(invalid(path or "<nil>", kind_of(value), detail))
            return
        if outcome is True:
            return
        field = path + _normal_path(source.field_path)
        shown = NO_VALUE if source.field_path or isinstance(value, dict | list) else value
        detail = _message(rule, scope)
        if source.reason == "FieldValueDuplicate":
            detail = ""
        field = field.removeprefix(".") or "<nil>"
        self.errors.append(FieldError(field, source.reason, shown, detail))


def _shown(node: Node, value: Any, *, convert: bool, root: bool) -> Any:
    if root or node.embedded:
        value = whole_object(value)
    return to_cel(node, value) if convert else value


def _message(rule: CompiledRule, scope: Scope) -> str:
    source = rule.source
    if rule.message is not None:
        try:
            made = rule.message.run(scope)
        except CelError:
            made = ""
        fits = isinstance(made, str) and len(made) <= _LONGEST_MESSAGE and "\n" not in made
        if fits and made.strip():
            return str(made).strip()
    return source.message.strip() or f"failed rule: {source.rule.strip()}"


def _normal_path(path: str) -> str:
    """Return ``.a['b-c']`` as Kubernetes shows it."""
    parts = (name or f"[{quoted}]" for name, quoted in FIELD_PATH.findall(path))
    return "".join(part if part.startswith("[") else f".{part}" for part in parts)
