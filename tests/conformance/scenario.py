"""What a scenario is, and what scenarios are written with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.conformance.client import Recorder

Scenario = Callable[[Recorder, str], None]
SCENARIOS: dict[str, Scenario] = {}

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"

WIDGETS = "/apis/conformance.example/v1/namespaces/{ns}/widgets"
CONFIG_MAPS = "/api/v1/namespaces/{ns}/configmaps"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

WIDGET_CRD: dict[str, Any] = yaml.safe_load(
    Path(__file__).with_name("widget.yaml").read_text(encoding="utf-8")
)


def scenario(function: Scenario) -> Scenario:
    """Register a scenario under its function's name."""
    assert function.__name__ not in SCENARIOS, f"{function.__name__} is told twice"
    SCENARIOS[function.__name__] = function
    return function


def widget(name: str, /, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "conformance.example/v1",
        "kind": "Widget",
        "metadata": {"name": name},
        "spec": {"size": 1, **spec},
    }


def config_map(name: str, /, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
