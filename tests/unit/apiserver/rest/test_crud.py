"""create, get, update, patch, delete: what is kept, what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
ONE = f"{WIDGETS}/w"


async def test_create_stamps_what_only_the_server_knows(shop: Any) -> None:
    answer = await shop.post(WIDGETS, shop.widget("w", status={"phase": "Done"}))
    assert answer.code == 201
    meta = answer.json["metadata"]
    assert meta["generation"] == 1
    assert meta["uid"]
    assert meta["creationTimestamp"].endswith("Z")
    assert meta["namespace"] == "default"
    assert answer.json["spec"] == {"color": "red", "size": 3}
    assert "status" not in answer.json
    assert (await shop.get(ONE)).json == answer.json


async def test_create_twice_is_refused_by_name(shop: Any) -> None:
    await shop.post(WIDGETS, shop.widget("w"))
    answer = await shop.post(WIDGETS, shop.widget("w"))
    assert (answer.code, answer.reason) == (409, "AlreadyExists")
    assert answer.json["message"] == 'widgets.example.com "w" already exists'
    assert answer.json["details"] == {"name": "w", "group": "example.com", "kind": "widgets"}


async def test_a_generated_name_begins_as_asked_and_is_not_taken(shop: Any) -> None:
    names = set()
    for _ in range(20):
        body = shop.widget("", meta={"name": "", "generateName": "gen-"})
        names.add((await shop.post(WIDGETS, body)).json["metadata"]["name"])
    assert len(names) == 20
    assert all(name.startswith("gen-") and len(name) == 9 for name in names)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        pytest.param(b"{", 400, "json parse error", id="no JSON"),
        pytest.param(b"[]", 400, "cannot unmarshal array", id="no object"),
        pytest.param(b"[" * 5000, 400, "json parse error", id="deeper than any object is"),
        pytest.param(b"[" * 300 + b"]" * 300, 400, "nested too deeply", id="deep, but JSON"),
        pytest.param({"kind": "Widget"}, 400, "Object 'apiVersion' is missing", id="no version"),
        pytest.param(
            {"kind": "Gadget", "apiVersion": "example.com/v1"},
            422,
            'kind: Invalid value: "Gadget": must be Widget',
            id="another kind",
        ),
        pytest.param(
            {"kind": "Widget", "apiVersion": "example.com/v2"},
            400,
            "does not match the expected API version",
            id="another version",
        ),
        pytest.param(
            {"kind": "Widget", "apiVersion": "example.com/v1", "metadata": {"labels": {"a": 1}}},
            400,
            "cannot unmarshal number into Go struct field ObjectMeta.labels of type string",
            id="a label that is a number",
        ),
        pytest.param(
            {
                "kind": "Widget",
                "apiVersion": "example.com/v1",
                "metadata": {"name": "w", "namespace": "other"},
            },
            400,
            "does not match the namespace sent on the request",
            id="another namespace",
        ),
        pytest.param(
            {"kind": "Widget", "apiVersion": "example.com/v1", "metadata": {}},
            422,
            "metadata.name: Required value: name or generateName is required",
            id="no name",
        ),
        pytest.param(
            {"kind": "Widget", "apiVersion": "example.com/v1", "metadata": {"name": "A_b"}},
            422,
            "a lowercase RFC 1123 subdomain",
            id="a name that is none",
        ),
        pytest.param(b"x" * (4 << 20), 413, "limit is 3145728", id="too large"),
    ],
)
async def test_a_bad_body_is_refused_with_the_reason(
    shop: Any, body: Any, code: int, message: str
) -> None:
    answer = await shop.post(WIDGETS, body)
    assert answer.code == code
    assert message in answer.json["message"]


async def test_objects_need_a_living_namespace(shop: Any) -> None:
    answer = await shop.post("/apis/example.com/v1/namespaces/none/widgets", shop.widget("w"))
    assert (answer.code, answer.json["message"]) == (404, 'namespaces "none" not found')


async def test_yaml_is_taken_and_given(shop: Any) -> None:
    text = b"apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {color: blue}\n"
    answer = await shop.send("POST", WIDGETS, text, "application/yaml")
    assert answer.code == 201
    answer = await shop.get(ONE, accept="application/yaml")
    assert b"color: blue" in answer.body


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(
            b"a: &a [x,x,x,x,x,x,x,x,x]\n"
            + b"".join(
                b"%c: &%c [%s]\n" % (c + 1, c + 1, b",".join([b"*%c" % c] * 9))
                for c in range(ord("a"), ord("a") + 8)
            ),
            id="aliases of aliases",
        ),
        pytest.param(b"a: [", id="malformed"),
    ],
)
async def test_hostile_yaml_is_refused_and_the_server_lives_on(shop: Any, text: bytes) -> None:
    answer = await shop.send("POST", WIDGETS, text, "application/yaml")
    assert answer.code in {400, 413}
    assert (await shop.get(WIDGETS)).code == 200


async def test_unknown_fields_are_dropped_warned_about_or_refused(shop: Any) -> None:
    body = shop.widget("w", spec={"color": "red", "bogus": 1})
    strict = await shop.post(f"{WIDGETS}?fieldValidation=Strict", body)
    assert strict.code == 400
    assert 'strict decoding error: unknown field "spec.bogus"' in strict.json["message"]
    warned = await shop.post(f"{WIDGETS}?dryRun=All", body)
    assert warned.values("warning") == ['299 - "unknown field \\"spec.bogus\\""']
    ignored = await shop.post(f"{WIDGETS}?fieldValidation=Ignore", body)
    assert ignored.code == 201
    assert ignored.values("warning") == []
    assert "bogus" not in ignored.json["spec"]


async def test_a_key_given_twice_is_refused_when_strict(shop: Any) -> None:
    body = (
        b'{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w"},'
        b'"spec":{"color":"red","color":"blue"}}'
    )
    answer = await shop.post(f"{WIDGETS}?fieldValidation=Strict", body)
    assert answer.code == 400
    assert 'duplicate field "spec.color"' in answer.json["message"]


async def test_a_dry_run_answers_as_if_and_keeps_nothing(shop: Any) -> None:
    answer = await shop.post(f"{WIDGETS}?dryRun=All", shop.widget("w"))
    assert answer.code == 201
    assert answer.json["metadata"]["uid"]
    assert (await shop.get(ONE)).code == 404
    first = (await shop.post(WIDGETS, shop.widget("w"))).json
    changed = await shop.merge(f"{ONE}?dryRun=All", {"spec": {"color": "blue"}})
    assert changed.json["spec"]["color"] == "blue"
    assert (await shop.delete(f"{ONE}?dryRun=All")).code == 200
    assert (await shop.get(ONE)).json == first


async def test_an_update_with_an_old_version_is_a_conflict(shop: Any) -> None:
    old = (await shop.post(WIDGETS, shop.widget("w"))).json
    await shop.merge(ONE, {"spec": {"color": "blue"}})
    answer = await shop.put(ONE, old)
    assert (answer.code, answer.reason) == (409, "Conflict")
    assert "the object has been modified; please apply your changes" in answer.json["message"]


async def test_an_update_of_a_custom_resource_needs_a_version(shop: Any) -> None:
    await shop.post(WIDGETS, shop.widget("w"))
    answer = await shop.put(ONE, shop.widget("w"))
    assert answer.code == 422
    assert "metadata.resourceVersion: Invalid value: 0: must be specified" in answer.json["message"]


async def test_generation_counts_what_is_asked_for_and_nothing_else(shop: Any) -> None:
    await shop.post(WIDGETS, shop.widget("w"))
    labelled = await shop.merge(ONE, {"metadata": {"labels": {"a": "b"}}})
    assert labelled.json["metadata"]["generation"] == 1
    status = await shop.merge(f"{ONE}/status", {"status": {"phase": "Done"}})
    assert status.json["metadata"]["generation"] == 1
    spec = await shop.merge(ONE, {"spec": {"color": "blue"}})
    assert spec.json["metadata"]["generation"] == 2


async def test_each_endpoint_changes_its_own_half(shop: Any) -> None:
    await shop.post(WIDGETS, shop.widget("w"))
    body = {
        "metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/x"]},
        "spec": {"color": "blue"},
        "status": {"phase": "Done"},
    }
    status = (await shop.merge(f"{ONE}/status", body)).json
    assert status["status"] == {"phase": "Done"}
    assert status["spec"]["color"] == "red"
    assert not {"labels", "finalizers"} & set(status["metadata"])
    main = (await shop.merge(ONE, {"spec": {"color": "blue"}, "status": {"phase": "No"}})).json
    assert main["status"] == {"phase": "Done"}
    assert main["spec"]["color"] == "blue"


async def test_a_write_that_changes_nothing_writes_nothing(shop: Any) -> None:
    first = (await shop.post(WIDGETS, shop.widget("w"))).json
    watching = shop.watch(f"{WIDGETS}?watch=1&resourceVersion={shop.plane.store.revision}")
    for answer in (
        await shop.merge(ONE, {"spec": {"color": "red"}}),
        await shop.put(ONE, first),
        await shop.merge(f"{ONE}/status", {}),
    ):
        assert answer.code == 200
        assert answer.json["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    await shop.delete(ONE)
    assert (await watching.next())["type"] == "DELETED"


async def test_true_is_not_one(shop: Any) -> None:
    await shop.post(WIDGETS, shop.widget("w"))
    await shop.merge(f"{ONE}/status", {"status": {"x": 1}})
    answer = await shop.merge(f"{ONE}/status", {"status": {"x": True}})
    assert answer.json["status"] == {"x": True}


async def test_a_json_patch_whose_test_fails_is_invalid(shop: Any) -> None:
    await shop.post(WIDGETS, shop.widget("w"))
    patch = [{"op": "test", "path": "/spec/color", "value": "blue"}]
    answer = await shop.send("PATCH", ONE, patch, "application/json-patch+json")
    assert (answer.code, answer.reason) == (422, "Invalid")


@pytest.mark.parametrize(
    "kind", ["application/apply-patch+yaml", "application/strategic-merge-patch+json", "text/plain"]
)
async def test_a_patch_of_another_type_is_not_taken(shop: Any, kind: str) -> None:
    await shop.post(WIDGETS, shop.widget("w"))
    answer = await shop.send("PATCH", ONE, {}, kind)
    assert (answer.code, answer.reason) == (415, "UnsupportedMediaType")


async def test_a_strict_patch_names_the_unknown_field(shop: Any) -> None:
    await shop.post(WIDGETS, shop.widget("w"))
    answer = await shop.merge(f"{ONE}?fieldValidation=Strict", {"spec": {"bogus": 1}})
    assert answer.code == 422
    assert 'strict decoding error: unknown field "spec.bogus"' in answer.json["message"]


@pytest.mark.parametrize(
    ("patch", "code", "message"),
    [
        ({"metadata": {"name": "x"}}, 400, "does not match the name on the URL"),
        ({"metadata": {"namespace": "x"}}, 400, "does not match the namespace sent"),
        ({"metadata": {"uid": "x"}}, 422, 'metadata.uid: Invalid value: "x": field is immutable'),
        ({"kind": "Gadget"}, 422, "must be Widget"),
        ({"apiVersion": "example.com/v2"}, 422, "must be example.com/v1"),
    ],
)
async def test_a_patch_cannot_make_another_object(
    shop: Any, patch: Any, code: int, message: str
) -> None:
    await shop.post(WIDGETS, shop.widget("w"))
    answer = await shop.merge(ONE, patch)
    assert answer.code == code
    assert message in answer.json["message"]


async def test_delete_answers_with_what_is_gone(shop: Any) -> None:
    uid = (await shop.post(WIDGETS, shop.widget("w"))).json["metadata"]["uid"]
    answer = await shop.delete(ONE)
    assert answer.json["status"] == "Success"
    assert answer.json["details"] == {
        "name": "w",
        "group": "example.com",
        "kind": "widgets",
        "uid": uid,
    }
    assert (await shop.delete(ONE)).code == 404


@pytest.mark.parametrize(
    "wanted", [{"uid": "another"}, {"resourceVersion": "1"}], ids=["uid", "version"]
)
async def test_a_deletion_whose_precondition_fails_is_a_conflict(shop: Any, wanted: Any) -> None:
    await shop.post(WIDGETS, shop.widget("w"))
    answer = await shop.delete(ONE, {"preconditions": wanted})
    assert answer.code == 409
    assert "in the precondition" in answer.json["message"]


async def test_a_finalizer_holds_the_object_until_it_is_removed(shop: Any) -> None:
    body = shop.widget("w", meta={"finalizers": ["example.com/x"]})
    await shop.post(WIDGETS, body)
    marked = (await shop.delete(ONE)).json
    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
    assert marked["metadata"]["generation"] == 2
    again = (await shop.delete(ONE)).json
    assert again["metadata"]["resourceVersion"] == marked["metadata"]["resourceVersion"]
    more = await shop.merge(ONE, {"metadata": {"finalizers": ["example.com/x", "example.com/y"]}})
    assert more.code == 422
    assert "no new finalizers can be added" in more.json["message"]
    assert (await shop.merge(ONE, {"metadata": {"finalizers": None}})).code == 200
    assert (await shop.get(ONE)).code == 404


async def test_deletecollection_deletes_what_is_selected(shop: Any) -> None:
    for name in ("a", "b", "c"):
        await shop.post(WIDGETS, shop.widget(name, meta={"labels": {"n": name}}))
    answer = await shop.delete(f"{WIDGETS}?labelSelector=n+in+(a,b)")
    assert [item["metadata"]["name"] for item in answer.json["items"]] == ["a", "b"]
    left = (await shop.get(WIDGETS)).json["items"]
    assert [item["metadata"]["name"] for item in left] == ["c"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/apis/example.com/v1/namespaces/default/gadgets", 404),
        ("GET", "/apis/example.com/v9/widgets", 404),
        ("GET", "/nothing", 404),
        ("POST", "/apis/example.com/v1/widgets", 404),
        ("DELETE", "/apis/example.com/v1/widgets", 404),
        ("POST", "/api/v1/configmaps", 405),
        ("PUT", WIDGETS, 400),
        ("GET", f"{ONE}/logs", 404),
        ("POST", f"{ONE}/status", 405),
        ("TRACE", ONE, 405),
    ],
)
async def test_what_is_not_served_is_refused_kindly(
    shop: Any, method: str, path: str, code: int
) -> None:
    await shop.post(WIDGETS, shop.widget("w"))
    answer = await shop.send(method, path, {} if method in {"POST", "PUT"} else None)
    assert answer.code == code
    known = answer.body == b"404 page not found\n" or path == "/nothing"
    assert known or answer.json["kind"] == "Status"


async def test_patches_cannot_build_what_may_not_be_sent(shop: Any) -> None:
    body = shop.widget("w")
    body["status"] = {}
    await shop.post(WIDGETS, body)
    deep: Any = 1
    for _ in range(150):
        deep = [deep]
    media, status = "application/json-patch+json", f"{ONE}/status"
    first = [{"op": "add", "path": "/status", "value": {"a": deep}}]
    assert (await shop.send("PATCH", status, first, media)).code == 200
    second = [{"op": "add", "path": "/status/a" + "/0" * 149, "value": deep}]
    refused = await shop.send("PATCH", status, second, media)
    assert (refused.code, refused.reason) == (400, "BadRequest")
    large = [{"op": "add", "path": "/status", "value": {"a": "x" * (1 << 20)}}]
    assert (await shop.send("PATCH", status, large, media)).code == 200
    copied = [{"op": "copy", "from": "/status/a", "path": "/status/b"}]
    refused = await shop.send("PATCH", status, copied, media)
    assert (refused.code, refused.reason) == (413, "RequestEntityTooLarge")
    assert list((await shop.get(ONE)).json["status"]) == ["a"]
