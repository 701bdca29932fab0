"""The rules of a CRD's schema (``x-kubernetes-validations``) when the CRD is registered."""

from typing import Any, Final

from apiserver.schema.cel import CelError, mentions_old
from apiserver.schema.celtypes import visible
from apiserver.schema.errors import (
    FieldError,
    Verbatim,
    compact,
    invalid,
    not_supported,
    required,
)
from apiserver.schema.rules import FIELD_PATH, compile_message, compile_rule
from apiserver.schema.structural import Node, RuleSource, parse

_REASONS: Final = (
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
)
_LONGEST_MESSAGE: Final = 2048


def check_rules(schema: dict[str, Any], path: str) -> list[FieldError]:
    """Return what is wrong with the rules of *schema* and of the schemas below."""
    root = parse(schema)
    return _check(root, path, root=True, uncorrelated="") if root.rules_below else []


def _check(node: Node, path: str, *, root: bool, uncorrelated: str) -> list[FieldError]:
    """Check one node.

    Args:
        node: The schema.
        path: Where it stands.
        root: It is the whole object's.
        uncorrelated: The list above in which old and new items cannot be matched; empty for none.
    """
    if not node.rules_below:
        return []
    errors: list[FieldError] = []
    if node.rules and not node.type and not node.int_or_string:
        text = (
            "internal error: failed to construct type information for x-kubernetes-validations"
            " rules: unable to convert structural schema to CEL declarations"
        )
        at = f"{path}.x-kubernetes-validations"
        return [FieldError(at, "InternalError", "", text)]
    for index, rule in enumerate(node.rules):
        at = f"{path}.x-kubernetes-validations[{index}]"
        errors += _check_rule(rule, node, at, root=root)
        if uncorrelated and mentions_old(rule.rule) and not rule.optional_old_self:
            text = (
                "oldSelf cannot be used on the uncorrelatable portion of the schema within"
                f" {uncorrelated}"
            )
            errors.append(invalid(f"{at}.rule", rule.rule, text))
    for name, child in node.properties.items():
        below = f"{path}.properties[{name}]"
        errors += _check(child, below, root=False, uncorrelated=uncorrelated)
    if node.additional is not None:
        below = f"{path}.additionalProperties"
        errors += _check(node.additional, below, root=False, uncorrelated=uncorrelated)
    if node.items is not None:
        lost = uncorrelated or ("" if node.list_type == "map" else path)
        errors += _check(node.items, f"{path}.items", root=False, uncorrelated=lost)
    return errors


def _check_rule(rule: RuleSource, node: Node, path: str, *, root: bool) -> list[FieldError]:
    if not rule.rule.strip():
        return [required(f"{path}.rule", "rule is not specified")]
    errors = _check_message(rule, path)
    if rule.reason not in _REASONS:
        errors.append(not_supported(f"{path}.reason", rule.reason, _REASONS))
    if rule.field_path and not _leads_somewhere(rule.field_path, node, root=root):
        errors.append(invalid(f"{path}.fieldPath", rule.field_path, "must be a valid path"))
    if rule.optional_old_self and not mentions_old(rule.rule):
        text = "may not be set if oldSelf is not used in rule"
        errors.append(invalid(f"{path}.optionalOldSelf", True, text))
    return errors + _check_expressions(rule, node, path, root=root)


def _check_message(rule: RuleSource, path: str) -> list[FieldError]:
    message, at = rule.message, f"{path}.message"
    errors: list[FieldError] = []
    if message and not message.strip():
        errors.append(invalid(at, message, "must be non-empty if specified"))
    elif "\n" in message.strip():
        errors.append(invalid(at, message, "must not contain line breaks"))
    elif len(message) > _LONGEST_MESSAGE:
        shown = f"{message[:10]}..."
        text = f"must have a maximum length of {_LONGEST_MESSAGE} characters"
        errors.append(invalid(at, shown, text))
    if not message and "\n" in rule.rule.strip():
        errors.append(required(at, "message must be specified if rule contains line breaks"))
    if rule.message_expression and not rule.message_expression.strip():
        text = "messageExpression must be non-empty if specified"
        errors.append(required(f"{path}.messageExpression", text))
    return errors


def _check_expressions(rule: RuleSource, node: Node, path: str, *, root: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    plain = RuleSource(rule=rule.rule, optional_old_self=rule.optional_old_self)
    try:
        compile_rule(plain, node, root=root)
    except CelError as exc:
        text = _said(exc, "compilation failed: ")
        errors.append(invalid(f"{path}.rule", _shown(rule), text))
    if rule.message_expression.strip():
        try:
            compile_message(rule, node, root=root)
        except CelError as exc:
            text = _said(exc, "messageExpression compilation failed: ")
            errors.append(invalid(f"{path}.messageExpression", _shown(rule), text))
    return errors


def _said(exc: CelError, prefix: str) -> str:
    text = str(exc)
    return prefix + text if text.startswith("ERROR:") else text


def _shown(rule: RuleSource) -> Verbatim:
    """Return a rule as Go shows it."""
    fields: dict[str, Any] = {
        "Rule": rule.rule,
        "Message": rule.message,
        "MessageExpression": rule.message_expression,
        "Reason": None if rule.reason == "FieldValueInvalid" else rule.reason,
        "FieldPath": rule.field_path,
        "OptionalOldSelf": rule.optional_old_self or None,
    }
    pairs = (f"{compact(key)}:{compact(value)}" for key, value in fields.items())
    return Verbatim("{" + ",".join(pairs) + "}")


def _leads_somewhere(path: str, node: Node, *, root: bool) -> bool:
    position, at, first = 0, node, True
    while position < len(path):
        found = FIELD_PATH.match(path, position)
        if found is None or path[position] not in ".[":
            return False
        name = found.group(1) or found.group(2)
        below = at.properties.get(name) or at.additional
        if below is None and first and root:
            below = visible(at, root=True).get(name)
        if below is None:
            return False
        position, at, first = found.end(), below, False
    return True
