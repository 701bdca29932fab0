"""The plan for programs: one JSON object whose shape ``docs/plan.md`` states. Pure."""

from collections import Counter
from typing import Any, Final

from cli.plan.values import Changed, Plan, PodFate
from controller.gitops.apply import Held
from controller.gitops.values import Problem
from controller.gitops.writing import printable

FORMAT: Final = "agentsmesh.io/plan/v1"


def document(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON values."""
    origin = plan.origin
    return {
        "format": FORMAT,
        "namespace": origin.namespace,
        "source": origin.source,
        "repository": origin.repository,
        "ref": origin.ref,
        "commit": origin.commit,
        "appliedCommit": origin.applied,
        "path": origin.path,
        "unbased": plan.unbased or None,
        "changes": plan.changes,
        "refused": plan.refused,
        "held": _held(plan.held) if plan.held is not None else None,
        "summary": {
            "resources": _counts(str(each.action) for each in plan.changed if not each.is_refused),
            "pods": _counts(str(each.fate) for each in plan.pods),
            "filesRefused": len({each.path for each in plan.files}),
            "resourcesRefused": sum(each.refusal is not None for each in plan.changed),
            "unchanged": plan.unchanged,
        },
        "resources": [_resource(each) for each in plan.changed],
        "pods": [_pod(each) for each in plan.pods],
        "contested": (
            {"pods": plan.crowd.pods, "places": plan.crowd.places} if plan.crowd else None
        ),
        "files": [_file(each) for each in plan.files],
        "unread": [{"kind": each.kind, "message": each.message} for each in plan.unread],
        "notes": list(plan.notes),
    }


def allow(plan: Plan) -> str:
    """Return the command that allows the deletions that are held."""
    held, origin = plan.held, plan.origin
    if held is None:
        return ""
    return (
        f"kubectl -n {origin.namespace} annotate --overwrite gitsource {origin.source} "
        f"agentsmesh.io/allow-prune={held.commit}"
    )


def _counts(words: Any) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _held(held: Held) -> dict[str, Any]:
    return {
        "commit": held.commit,
        "limit": held.limit,
        "rewritten": held.rewritten,
        "resources": [
            {"kind": gone.identity.kind, "name": gone.identity.name, "path": printable(gone.path)}
            for gone in held.gone
        ],
    }


def _resource(each: Changed) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": each.kind,
        "name": each.name,
        "path": printable(each.path),
        "action": str(each.action),
    }
    if each.fields:
        found["fields"] = [
            {"name": field.name, "before": field.before, "after": field.after}
            for field in each.fields
        ]
    if each.moved_from:
        found["movedFrom"] = printable(each.moved_from)
    if each.refusal is not None:
        reason, message, certain = each.refusal
        found["refused"] = {"reason": reason, "message": message, "certain": certain}
    return found


def _pod(each: PodFate) -> dict[str, Any]:
    found: dict[str, Any] = {"name": each.name, "fate": str(each.fate)}
    given = {
        "path": printable(each.path),
        "reason": each.reason,
        "message": each.message,
        "runners": list(each.runners),
        "ticket": each.ticket,
    }
    return found | {key: value for key, value in given.items() if value}


def _file(each: Problem) -> dict[str, Any]:
    found: dict[str, Any] = {"path": printable(each.path)}
    if each.line is not None:
        found["line"] = each.line
    return found | {"reason": each.reason, "message": each.message}
