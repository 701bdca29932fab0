"""A hundred pods at once: from the first create to the last one running."""

import time

from bench.api import Api
from bench.mesh import mesh, pod
from bench.report import Row
from bench.start import PODS

COUNT = 100


def measure() -> list[Row]:
    """Return the seconds until all pods run, beside the goal."""
    with mesh(max_pods=COUNT + 10) as ours:
        api = Api(ours.kubeconfig)
        version = api.call("GET", f"{PODS}?limit=1")["metadata"]["resourceVersion"]
        running: set[str] = set()
        query = f"{PODS}?watch=1&resourceVersion={version}&timeoutSeconds=120"
        with api.watch(query) as events:
            start = time.perf_counter()
            for number in range(COUNT):
                api.call("POST", PODS, pod(f"burst-{number}", "idle"))
            created = time.perf_counter() - start
            took = 0.0
            for moment, event in events:
                item = event["object"]
                if item.get("status", {}).get("phase") == "Running":
                    running.add(item["metadata"]["name"])
                if len(running) == COUNT:
                    took = moment - start
                    break
        if not took:
            raise RuntimeError(f"only {len(running)} of {COUNT} pods ran within 120 s")
        note = f"{created:.1f} s of it to create them one by one"
        return [Row(f"{COUNT} pods running", "s", took, "goal", 15.0, "≤ 15 s", note)]
