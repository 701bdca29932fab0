"""Memory per idle pod beside its agent: what the shim and its sandbox cost."""

from bench.mesh import mesh, pod
from bench.processes import command, parents, pss_bytes
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
        shims = {run["pid"] for run in ours.runs()}
        around = {pid for shim in shims for pid in _below(shim, tree)} - shims
        agents = {pid for pid in around if command(pid).startswith("sleep 100000")}
        around -= agents
        zygotes = {tree[shim] for shim in shims} - {1}
        bytes_of = {
            "shim": sum(map(pss_bytes, shims)),
            "sandbox": sum(map(pss_bytes, around)),
            "zygote": sum(map(pss_bytes, zygotes)),
        }
    if len(shims) != COUNT or len(agents) != COUNT:
        raise RuntimeError(f"{len(shims)} shims and {len(agents)} agents of {COUNT} were found")
    mib = {name: size / COUNT / 2**20 for name, size in bytes_of.items()}
    note = f"{COUNT} pods; with their share of the {len(zygotes)} zygote that all came from"
    rows = [
        Row("memory per idle pod (PSS)", "MiB", sum(mib.values()), "goal", 3.0, "≤ 3 MiB", note)
    ]
    rows += [
        Row(f"  of it: {name}", "MiB", each, "all", sum(mib.values())) for name, each in mib.items()
    ]
    return rows


def _below(pid: int, tree: dict[int, int]) -> set[int]:
    """Return *pid* and all that descends from it."""
    found = {pid}
    while more := {child for child, parent in tree.items() if parent in found} - found:
        found |= more
    return found
