"""Memory per idle pod beside its agent: what the shim and its sandbox cost."""

from bench.mesh import mesh, pod
from bench.processes import command, environment, parents, pss_bytes
from bench.report import Row

COUNT = 50


def measure() -> list[Row]:
    """Return the PSS of everything that a pod adds, its agent left out."""
    with mesh(max_pods=COUNT + 10) as ours:
        for number in range(COUNT):
            ours.apply(pod(f"idle-{number}", "idle", repository=False))
        ours.kubectl(
            *("wait", "-n", "default", "agentpods", "--all"),
            *("--for=condition=Ready", "--timeout=120s"),
        )
        tree = parents()
        agents = {
            pid
            for pid in tree
            if command(pid).startswith("sleep 100000") and "AGENTSMESH_POD=" in environment(pid)
        }
        holders: set[int] = set()
        for agent in agents:
            parent = tree[agent]
            while parent > 1 and ("bwrap" in command(parent) or "shim" in command(parent)):
                holders.add(parent)
                parent = tree[parent]
        total = sum(pss_bytes(pid) for pid in holders)
    if len(agents) != COUNT:
        raise RuntimeError(f"{len(agents)} of {COUNT} agents were found")
    per_pod = total / COUNT / 2**20
    note = f"{len(holders)} processes for {COUNT} pods"
    return [Row("memory per idle pod (PSS)", "MiB", per_pod, "goal", 3.0, "≤ 3 MiB", note)]
