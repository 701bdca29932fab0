"""Tickets and manifests in git: the first import, passes without news, changes both ways, memory.

``BENCH_TICKETS`` tickets (10,000), ``BENCH_ROUNDS`` changes each (20). The repository is served
over https, as a host elsewhere would; pods come from one in a folder of this machine.
"""

import asyncio
import hashlib
import hmac
import http.client
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from meshwire.v1 import link_pb2, link_pb2_grpc

from bench import gitfiles, githost, gitops_pods
from bench.api import Api
from bench.gitops_watch import API, applied, events, everything, patch, settle, until, versions
from bench.mesh import Mesh, mesh
from bench.processes import cpu_seconds, pss_bytes
from bench.report import Row, median, percentile
from cli.door import door, metadata
from cli.main import parser
from cli.terminal.address import Desk

TICKETS: Final = int(os.environ.get("BENCH_TICKETS", "10000"))
ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "20"))
WRITES: Final = int(os.environ.get("BENCH_WRITES", "200"))
AT_ONCE: Final = 32
"""Calls that change tickets, at the same time."""
INTERVAL_SECONDS: Final = 5
IDLE_INTERVALS: Final = 6
_SECRET: Final = "of the bench"  # noqa: S105 - of a bench


def measure() -> list[Row]:
    """Return all measures of the sync with git."""
    rows = _tickets()
    with mesh() as running:
        for number in gitops_pods.PUBLISHED_SECONDS:
            rows += gitops_pods.measure(running, number)
    return rows


# --- tickets -------------------------------------------------------------------------------------


def _tickets() -> list[Row]:
    with mesh(extra=("--git-allow", "127.0.0.1")) as running:
        folder = running.origin.parent
        bare = folder / "plan.git"
        files = {gitfiles.ticket_path(n): gitfiles.ticket(n) for n in range(TICKETS)}
        commit = gitfiles.make(bare, files)
        with githost.serve(folder) as host:
            api = Api(running.kubeconfig)
            controller = _controller(running)
            bare_seconds = _bare_create_seconds(api) * TICKETS
            before = pss_bytes(controller)
            running.apply(*_source(host))
            rows = [_first_import(api, commit, bare_seconds)]
            rows += _memory(controller, before)
            rows += _without_news(running, api, bare)
            rows += _seen(running, api, bare)
            rows += _write_back(running, api, bare)
            return rows


def _source(host: githost.Host) -> list[dict[str, Any]]:
    def ours(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        meta = {"name": name, "namespace": "default"}
        return {
            "apiVersion": "agentsmesh.io/v1alpha1",
            "kind": kind,
            "metadata": meta,
            "spec": spec,
        }

    def secret(name: str, data: dict[str, str]) -> dict[str, Any]:
        meta = {"name": name, "namespace": "default"}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data}

    return [
        secret("host", {"ca.crt": host.ca}),
        secret("hook", {"token": _SECRET}),
        ours(
            "Repository",
            "plan",
            {"url": f"{host.url}/plan.git", "authSecretRef": {"name": "host"}},
        ),
        ours(
            "GitSource",
            "plan",
            {
                "repositoryRef": {"name": "plan"},
                "branch": "main",
                "interval": f"{INTERVAL_SECONDS}s",
                "writeBack": {"enabled": True},
                "webhook": {"secretRef": {"name": "hook"}},
            },
        ),
    ]


def _bare_create_seconds(api: Api) -> float:
    """Return how long the API takes for a ticket that one connection creates, on average."""
    names = [f"bare-{number:04d}" for number in range(300)]
    start = time.perf_counter()
    for name in names:
        spec = {"title": f"Ticket {name}", "body": gitfiles.BODY, "state": "todo"}
        item = {"kind": "Ticket", "metadata": {"name": name}, "spec": spec}
        api.call("POST", f"{API}/tickets", {"apiVersion": "agentsmesh.io/v1alpha1"} | item)
    taken = (time.perf_counter() - start) / len(names)
    for name in names:
        api.call("DELETE", f"{API}/tickets/{name}")
    settle(api)
    return taken


def _first_import(api: Api, commit: str, bare_seconds: float) -> Row:
    start = time.perf_counter()
    applied(api, "plan", commit)
    taken = time.perf_counter() - start
    have = len(versions(api, "tickets"))
    if have != TICKETS:
        raise RuntimeError(f"{have} tickets of {TICKETS} were made")
    measure = f"first import of {TICKETS:,} tickets"
    return Row(measure, "s", taken, "creates alone", bare_seconds, note="one connection, from 300")


def _memory(controller: int, before: int) -> list[Row]:
    now, mib = pss_bytes(controller), 2**20
    peak = _status_kib(controller, "VmHWM") / 1024
    return [
        Row("controller's memory with them (PSS)", "MiB", now / mib, "without", before / mib),
        Row("  at its highest (RSS)", "MiB", peak, "without", before / mib),
    ]


def _without_news(running: Mesh, api: Api, bare: Path) -> list[Row]:
    """Passes that find nothing new: what they take, and that they write nothing."""
    settle(api)
    tickets, commits = versions(api, "tickets"), gitfiles.count(bare)
    taken = [_asked(api, "plan") for _ in range(5)]
    changed = sum(1 for name, at in versions(api, "tickets").items() if tickets.get(name) != at)
    before = everything(api)
    controller = _controller(running)
    cpu = cpu_seconds(controller)
    seconds = INTERVAL_SECONDS * IDLE_INTERVALS
    time.sleep(seconds)
    busy = 100 * (cpu_seconds(controller) - cpu) / seconds
    idle = sum(1 for key, at in everything(api).items() if before.get(key) != at)
    pushed = gitfiles.count(bare) - commits
    note = f"{IDLE_INTERVALS} intervals of {INTERVAL_SECONDS} s: resources that changed"
    return [
        Row("a pass without news that was asked for", "ms", median(taken), "", 0, note="p50 of 5"),
        Row("  tickets it changed", "", changed, "", 0, goal="0"),
        Row("idle: writes", "", idle, "", 0, goal="0", note=note),
        Row("idle: commits", "", pushed, "", 0, goal="0"),
        Row("idle: CPU of the controller", "%", busy, "", 0, note="of a core"),
    ]


def _seen(running: Mesh, api: Api, bare: Path) -> list[Row]:
    """From a commit until a watch has seen the ticket: by the interval, by the webhook."""
    rows = []
    ports = running.status()["ports"]

    def call() -> None:
        _webhook(int(ports["webhooks"]))

    for name, poke, interval in (
        ("webhook", call, 3600),
        (f"interval of {INTERVAL_SECONDS} s", lambda: None, INTERVAL_SECONDS),
    ):
        patch(api, "gitsources/plan", {"spec": {"interval": f"{interval}s"}})
        settle(api)
        taken = [_one_change(api, bare, n, poke) for n in range(ROUNDS)]
        note = f"{ROUNDS} commits of one file among {TICKETS:,}"
        goal = "< 2 s" if name == "webhook" else ""
        rows += [
            Row(f"commit → Ticket, {name}, p{at}", "ms", percentile(taken, at), "", 0, goal, note)
            for at in (50, 99)
        ]
    return rows


def _one_change(api: Api, bare: Path, number: int, poke: Callable[[], None]) -> float:
    title = f"Changed {random.randrange(10**9)}"  # noqa: S311 - to be told apart
    name = f"tk-{number:08d}"
    time.sleep(random.uniform(1, 1 + INTERVAL_SECONDS))  # noqa: S311 - anywhere in an interval
    with events(api, f"{API}/tickets?watch=true&fieldSelector=metadata.name%3D{name}") as seen:
        gitfiles.commit(bare, {gitfiles.ticket_path(number): gitfiles.ticket(number, title=title)})
        start = time.perf_counter()
        poke()
        while True:
            at, event = seen.get(timeout=120)
            if event["object"]["spec"]["title"] == title:
                return (at - start) * 1000


def _write_back(running: Mesh, api: Api, bare: Path) -> list[Row]:
    commits = gitfiles.count(bare)
    numbers = range(ROUNDS, ROUNDS + WRITES)
    start = time.perf_counter()
    pending = asyncio.run(_update(running, [f"tk-{number:08d}" for number in numbers]))

    def landed() -> bool:
        status = api.call("GET", f"{API}/gitsources/plan")["status"]
        return int(status.get("writeBack", {}).get("pending", 0)) == 0

    until(landed, "every change is pushed")
    taken = time.perf_counter() - start
    made = gitfiles.count(bare) - commits
    plain = gitfiles.porcelain_commit_ms(bare, bare.parent / "clone", 20)
    note = f"{WRITES} tickets, {AT_ONCE} at once; {made} commits; {pending} answered as pending"
    return [
        Row("tickets written back", "per s", WRITES / taken, "a git commit each",
            1000 / median(plain), note=note),
    ]  # fmt: skip


async def _update(running: Mesh, names: list[str]) -> int:
    """Change the tickets; return how many were answered before they were pushed."""
    at_once = asyncio.Semaphore(AT_ONCE)
    argv = ["ticket", "list", "-n", "default", "--kubeconfig", str(running.kubeconfig)]
    desk = Desk(parser().parse_args(argv))
    address = await asyncio.to_thread(desk.address)
    pending = 0

    async def one(stub: Any, name: str) -> None:
        nonlocal pending
        async with at_once:
            request = link_pb2.TicketUpdate(
                namespace="default", name=name, changes_json=json.dumps({"state": "in_progress"})
            )
            answer = await stub.Update(request, metadata=metadata(address), timeout=120)
            pending += bool(answer.pending)

    async with door(address) as channel, asyncio.TaskGroup() as tasks:
        stub = link_pb2_grpc.TicketsStub(channel)  # type: ignore[no-untyped-call] # generated
        for name in names:
            tasks.create_task(one(stub, name))
    return pending


def _asked(api: Api, name: str) -> float:
    """Ask for a look; return the milliseconds until it was had."""
    mark = f"bench-{random.randrange(10**9)}"  # noqa: S311 - to be told apart
    start = time.perf_counter()
    patch(
        api,
        f"gitsources/{name}",
        {"metadata": {"annotations": {"agentsmesh.io/requested-at": mark}}},
    )

    def had() -> bool:
        status = api.call("GET", f"{API}/gitsources/{name}")["status"]
        return bool(status.get("lastHandledRequestAt") == mark)

    until(had, "the look was had")
    return (time.perf_counter() - start) * 1000


def _webhook(port: int) -> None:
    """Tell of a push, as GitHub would."""
    after = f"{random.getrandbits(160):040x}"  # noqa: S311 - to be told apart
    body = json.dumps({"ref": "refs/heads/main", "after": after}).encode()
    signature = hmac.new(_SECRET.encode(), body, hashlib.sha256).hexdigest()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {
        "Content-Type": "application/json",
        "X-Hub-Signature-256": f"sha256={signature}",
        "X-GitHub-Delivery": f"{random.getrandbits(64):x}",  # noqa: S311 - to be told apart
    }
    connection.request("POST", "/webhooks/git/default/plan", body, headers)
    answer = connection.getresponse()
    if answer.status >= 300:
        raise RuntimeError(f"the webhook was answered with {answer.status}: {answer.read()!r}")
    connection.close()


def _controller(running: Mesh) -> int:
    parts = running.status()["processes"]
    return int(next(each["pid"] for each in parts if each["name"] == "controller"))


def _status_kib(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{field}:")))
