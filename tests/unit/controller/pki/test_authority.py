"""The CA in its Secrets: agreed upon, renewed, and never replaced behind anybody's back."""

import asyncio
import base64
import logging
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from controller.kube.errors import Unavailable
from controller.pki.authority import Authority, AuthoritySettings
from controller.pki.errors import Stalled
from controller.pki.signer import new_issuing, new_root
from controller.pki.stored import data_of, manifest_of
from schemas.names import RUNNER, SECRET
from tests.unit.controller.kube_memory import MemoryKube

pytestmark = pytest.mark.anyio

NS = "agentsmesh-system"
ROOT, ISSUING = "agentsmesh-ca-root", "agentsmesh-ca-issuing"
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class SetClock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


async def _enrolled(kube: MemoryKube) -> None:
    await kube.create(RUNNER, "acme", {"metadata": {"name": "r"}, "spec": {}})
    status = {"status": {"certificate": {"serial": "1"}}}
    await kube.patch(RUNNER, "acme", "r", status, subresource="status")


async def test_two_controllers_that_start_together_agree_on_one_ca() -> None:
    kube = MemoryKube()
    both = [Authority(kube, clock=SetClock()) for _ in range(2)]
    await asyncio.gather(*(one.refresh() for one in both))
    assert both[0].pin == both[1].pin
    assert both[0].bundle() == both[1].bundle()


async def test_the_profile_of_the_chain_is_ten_years_ninety_days_and_no_further_ca() -> None:
    clock = SetClock()
    authority = Authority(MemoryKube(), clock=clock)
    await authority.refresh()
    root = authority.root.certificate
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    issued = authority.sign_runner(key, "spiffe://agentsmesh.local/ns/a/runner/b/c")
    leaf, issuing = (x509.load_der_x509_certificate(der) for der in issued.chain_der)
    leaf.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)
    constraints = [
        one.extensions.get_extension_for_class(x509.BasicConstraints)
        for one in (root, issuing, leaf)
    ]
    assert [(one.value.ca, one.value.path_length, one.critical) for one in constraints] == [
        (True, 1, True),
        (True, 0, True),
        (False, None, True),
    ]
    assert root.not_valid_after_utc == START + timedelta(days=3650)
    assert issuing.not_valid_after_utc == START + timedelta(days=90)


async def test_the_issuing_certificate_is_renewed_after_two_thirds_and_the_root_stays() -> None:
    kube, clock = MemoryKube(), SetClock()
    authority = Authority(kube, clock=clock)
    await authority.refresh()
    pin, first = authority.pin, (await kube.get(SECRET, NS, ISSUING))["data"]
    clock.now = START + timedelta(days=59)
    await authority.refresh()
    assert (await kube.get(SECRET, NS, ISSUING))["data"] == first
    clock.now = START + timedelta(days=61)
    await authority.refresh()
    assert (await kube.get(SECRET, NS, ISSUING))["data"] != first
    assert authority.pin == pin
    clock.now = START + timedelta(days=300)  # asleep for most of a year: expired, still renewable
    await authority.refresh()
    assert authority.server_certificate(["localhost"]).not_after > clock.now


async def test_of_two_that_renew_together_one_wins_and_both_use_it() -> None:
    kube, clock = MemoryKube(), SetClock()
    both = [Authority(kube, clock=clock) for _ in range(2)]
    for one in both:
        await one.refresh()
    clock.now = START + timedelta(days=61)
    await asyncio.gather(*(one.refresh() for one in both))
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    chains = {one.sign_runner(key, "spiffe://a/ns/a/runner/b/c").chain_der[1] for one in both}
    assert len(chains) == 1


async def test_a_lost_root_stalls_while_a_runner_hangs_on_it() -> None:
    kube = MemoryKube()
    authority = Authority(kube, clock=SetClock())
    await authority.refresh()
    await _enrolled(kube)
    pin = authority.pin
    await kube.delete(SECRET, NS, ROOT)
    await kube.delete(SECRET, NS, ISSUING)
    with pytest.raises(Stalled, match="acme/r holds a certificate"):
        await authority.refresh()
    with pytest.raises(Stalled):
        await Authority(kube, clock=SetClock()).refresh()
    assert ("Secret", NS, ROOT) not in kube.objects
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(Stalled):
        authority.sign_runner(key, "spiffe://a/ns/a/runner/b/c")
    assert authority.pin == pin
    assert authority.server_certificate(["localhost"])  # ports go on


async def test_a_lost_root_beside_an_issuing_certificate_stalls() -> None:
    kube = MemoryKube()
    await Authority(kube, clock=SetClock()).refresh()
    await kube.delete(SECRET, NS, ROOT)
    with pytest.raises(Stalled, match="delete the other as well"):
        await Authority(kube, clock=SetClock()).refresh()


async def test_both_lost_before_any_runner_begins_anew() -> None:
    kube = MemoryKube()
    authority = Authority(kube, clock=SetClock())
    await authority.refresh()
    pin = authority.pin
    await kube.delete(SECRET, NS, ROOT)
    await kube.delete(SECRET, NS, ISSUING)
    await authority.refresh()
    assert authority.pin != pin


async def test_a_lost_issuing_certificate_is_had_again_from_the_root() -> None:
    kube = MemoryKube()
    authority = Authority(kube, clock=SetClock())
    await authority.refresh()
    await _enrolled(kube)
    pin = authority.pin
    await kube.delete(SECRET, NS, ISSUING)
    await authority.refresh()
    assert authority.pin == pin
    assert ("Secret", NS, ISSUING) in kube.objects


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


OTHER = new_root(START, timedelta(days=9))


@pytest.mark.parametrize("name", [ROOT, ISSUING])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"tls.key": None}, id="no key"),
        pytest.param({"tls.crt": ""}, id="empty certificate"),
        pytest.param({"tls.crt": _b64("rubbish")}, id="no certificate"),
        pytest.param({"tls.key": _b64("rubbish-canary")}, id="no private key"),
        pytest.param({"tls.key": "%%%"}, id="not base64"),
        pytest.param({"tls.key": data_of(OTHER)["tls.key"]}, id="another's key"),
    ],
)
async def test_a_damaged_secret_stalls_is_left_alone_and_works_once_repaired(
    name: str, damage: dict, caplog: pytest.LogCaptureFixture
) -> None:
    kube = MemoryKube()
    authority = Authority(kube, clock=SetClock())
    await authority.refresh()
    good = (await kube.get(SECRET, NS, name))["data"]
    broken = await kube.patch(SECRET, NS, name, {"data": damage})
    with caplog.at_level(logging.DEBUG), pytest.raises(Stalled, match=name) as caught:
        await authority.refresh()
    assert "canary" not in str(caught.value) + caplog.text
    assert authority.finding is not None
    assert await kube.get(SECRET, NS, name) == broken
    await kube.patch(SECRET, NS, name, {"data": good})
    await authority.refresh()
    assert authority.finding is None


async def test_an_issuing_certificate_of_another_root_stalls() -> None:
    kube = MemoryKube()
    authority = Authority(kube, clock=SetClock())
    await authority.refresh()
    foreign = new_issuing(OTHER, START, timedelta(days=5))
    await kube.patch(SECRET, NS, ISSUING, {"data": data_of(foreign)})
    with pytest.raises(Stalled, match="not issued by the root"):
        await authority.refresh()


async def test_an_expired_root_and_a_clock_before_it_stall_with_a_sentence() -> None:
    kube, clock = MemoryKube(), SetClock()
    await kube.create(SECRET, NS, manifest_of(ROOT, new_root(START, timedelta(days=9))))
    clock.now = START + timedelta(days=10)
    with pytest.raises(Stalled, match="expired at 2026-01-10"):
        await Authority(kube, clock=clock).refresh()
    clock.now = START - timedelta(days=3)
    with pytest.raises(Stalled, match="set the clock"):
        await Authority(kube, clock=clock).refresh()


@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(days=1)], ids=str)
async def test_a_day_that_the_clock_jumps_stalls_nothing(jump: timedelta) -> None:
    kube, clock = MemoryKube(), SetClock()
    authority = Authority(kube, AuthoritySettings(refresh_seconds=0.0), clock=clock)
    await authority.refresh()
    root = authority.bundle().roots_der
    clock.now += jump
    await authority.refresh()
    assert authority.bundle().roots_der == root
    served = authority.server_certificate(["127.0.0.1"])
    for certificate in x509.load_pem_x509_certificates(served.chain_pem):
        assert certificate.not_valid_before_utc <= clock.now < certificate.not_valid_after_utc


async def test_an_api_server_in_trouble_changes_nothing() -> None:
    kube = MemoryKube()
    authority = Authority(kube, AuthoritySettings(refresh_seconds=0.0), clock=SetClock())
    await authority.refresh()

    def fail(*_: object) -> None:
        raise Unavailable("down")

    kube.before = fail
    with pytest.raises(Unavailable):
        await authority.refresh()
    assert authority.finding is None
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert authority.sign_runner(key, "spiffe://a/ns/a/runner/b/c")
