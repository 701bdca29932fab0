"""The functions that Kubernetes adds to CEL, and the library's bounds."""

from typing import Any

import pytest

from apiserver.schema.cel import CelError, Program, Scope, mentions_old
from apiserver.schema.celtypes import escape, prepare
from apiserver.schema.compiled import CompiledSchema
from apiserver.schema.structural import parse


def run(source: str, value: Any = None) -> Any:
    return Program(source).run(Scope(value, None, has_old=False))


@pytest.mark.parametrize(
    "source",
    [
        "[1, 2, 2].isSorted() && !['b', 'a'].isSorted() && [].isSorted()",
        "[1, 2].sum() == 3 && [1.5, 2.0].sum() == 3.5 && [].sum() == 0",
        "[3, 1].min() == 1 && ['a', 'b'].max() == 'b'",
        "[1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2 && [1].indexOf(5) == -1",
        "'abcb'.indexOf('b') == 1 && 'abcb'.lastIndexOf('b') == 3 && 'abcb'.indexOf('b', 2) == 3",
        "['a'].indexOf('a') == 0 && [[1]].indexOf([1]) == 0 && [{'a': 1}].indexOf({'a': 1}) == 0",
        "'x.indexOf(y)' == 'x.indexOf(y)'",
        "'a1b22'.find('[0-9]+') == '1' && 'x'.find('[0-9]') == ''",
        "'a1b22'.findAll('[0-9]+') == ['1', '22'] && 'a1b22'.findAll('[0-9]+', 1) == ['1']",
        "'a1b2'.findAll('([a-z])([0-9])') == ['a1', 'b2'] && 'a(b'.find('[(]b') == '(b'",
        "'aXbX'.findAll('(?i)x') == ['X', 'X'] && 'k=v'.find('(?P<k>k)=') == 'k='",
        "isQuantity('1.5Gi') && isQuantity('2e3') && !isQuantity('1x') && !isQuantity('')",
        "quantity('1Gi') == quantity('1024Mi') && quantity('1k').isLessThan(quantity('1Ki'))",
        "quantity('100m').add(quantity('0.9')) == quantity('1')",
        "quantity('2').sub(1).asInteger() == 1",
        "quantity('1').compareTo(quantity('2')) == -1 && !quantity('100m').isInteger()",
        "quantity('1.5').asApproximateFloat() == 1.5",
        "isURL('https://a/b') && isURL('/a') && !isURL('a b')",
        "url('https://u@[::1]:80/a%20b?k=1&k=2').getHost() == '[::1]:80'",
        "url('https://[::1]:80/a').getHostname() == '::1' && url('https://a/b').getPort() == ''",
        "url('https://a/b?k=1&k=2').getQuery()['k'] == ['1', '2'] && url('/x').getScheme() == ''",
        "isIP('::1') && !isIP('1.2.3') && ip('::1').isLoopback() && ip('10.0.0.1').family() == 4",
        "ip('8.8.8.8').isGlobalUnicast() && ip('0.0.0.0').isUnspecified()",
        "ip('169.254.0.1').isLinkLocalUnicast() && ip('224.0.0.1').isLinkLocalMulticast()",
        "ip.isCanonical('::1') && !ip.isCanonical('0:0::1')",
        "isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.0') && cidr('10.0.0.0/8').prefixLength() == 8",
        "cidr('10.0.0.0/8').containsIP('10.1.1.1')",
        "!cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
        "!cidr('::/0').containsCIDR('10.0.0.0/8')",
        "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')",
        "cidr('10.1.2.3/8').ip().family() == 4",
        "isSemver('1.2.3-rc.1') && !isSemver('1.2') && semver('1.2.3').minor() == 2",
        "semver('1.2.3-rc.1').isLessThan(semver('1.2.3')) && semver('1.2.10').patch() == 10",
        "semver('1.0.0-2').isLessThan(semver('1.0.0-10')) && semver('2.0.0').major() == 2",
        "{'a': 1}.all(k, v, k == 'a' && v == 1) && [1, 2].exists(i, v, i == 1 && v == 2)",
        "sets.contains([1, 2], [2]) && optional.of(1).orValue(2) == 1",
    ],
)
def test_an_expression_holds(source: str) -> None:
    assert run(source) is True


@pytest.mark.parametrize(
    ("source", "value", "words"),
    [
        ("self.a", {}, "no such key: a"),
        ("1 / self", 0, "division by zero"),
        ("self + 1", 2**63 - 1, "integer overflow"),
        ("self + 1", 2**70, "out of range"),
        ("self < 1", "a", "no such overload"),
        ("self[1]", [], "index out of bounds: 1"),
        ("[].min()", None, "min called on empty list"),
        ("quantity(self)", "x", "quantities must match"),
        ("self.find('[')", "x", "missing"),
        ("self.all(a, self.all(b, self.all(c, true)))", list(range(200)), "cost limit exceeded"),
    ],
)
def test_an_expression_without_result_says_why(source: str, value: Any, words: str) -> None:
    with pytest.raises(CelError, match=words):
        run(source, value)


@pytest.mark.parametrize("source", ["1 +", "foo(1)", "other == 1", "cel.bind(x, 1, x == 1)", ""])
def test_what_does_not_compile_is_refused(source: str) -> None:
    with pytest.raises(CelError, match="ERROR"):
        Program(source)


def test_old_self_is_looked_for_outside_of_texts() -> None:
    assert mentions_old("self == oldSelf")
    assert not mentions_old("self != 'oldSelf' && self.oldSelf == \"oldSelf\"")


def test_an_optional_old_value_is_none_on_create() -> None:
    program = Program("oldSelf.hasValue() ? oldSelf.value() == 1 : self == 2", optional_old=True)
    assert program.run(Scope(2, None, has_old=False)) is True
    assert program.run(Scope(3, 1, has_old=True)) is True
    assert program.run(Scope(3, None, has_old=False)) is False


def test_names_are_escaped_as_kubernetes_does() -> None:
    names = ["namespace", "a-b", "a.b", "a/b", "a__b", "plain", "int"]
    assert [escape(name) for name in names] == [
        "__namespace__",
        "a__dash__b",
        "a__dot__b",
        "a__slash__b",
        "a__underscores__b",
        "plain",
        "int",
    ]


def test_times_are_converted_where_they_are_named() -> None:
    time = {"type": "string", "format": "date-time"}
    node = parse(
        {"type": "object", "properties": {"s": {"type": "object", "properties": {"t": time}}}}
    )
    source = "has(self.s.t) && self.s.t > oldSelf.s.t && self.s.t.getDate() > 1 && 'self.s.t'"
    prepared = prepare(source, node, root=False, optional_old=False)
    assert prepared == (
        "has(self.s.t) && timestamp(self.s.t) > timestamp(oldSelf.s.t) && "
        "timestamp(self.s.t).getDate() > 1 && 'self.s.t'"
    )


def test_nested_times_and_numbers_are_typed() -> None:
    schema = CompiledSchema(
        {
            "type": "object",
            "properties": {
                "spec": {
                    "type": "object",
                    "properties": {
                        "from": {"type": "string", "format": "date-time"},
                        "until": {"type": "string", "format": "date-time"},
                        "every": {"type": "string", "format": "duration"},
                        "share": {"type": "number"},
                    },
                    "x-kubernetes-validations": [
                        {"rule": "self.from < self.until", "message": "order"},
                        {"rule": "self.every < duration('1h')", "message": "often"},
                        {"rule": "self.share + 0.5 <= 1.0", "message": "half"},
                    ],
                }
            },
        }
    )
    spec = {"from": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:30:00+01:00"}
    texts = [e.detail for e in schema.validate({"spec": {**spec, "every": "2h", "share": 1}})]
    assert texts == ["order", "often", "half"]


def test_an_endless_pile_of_rules_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apiserver.schema.rules.BUDGET_SECONDS", -1.0)
    rule = {"rule": "self > 0"}
    item = {"type": "integer", "x-kubernetes-validations": [rule, rule]}
    schema = CompiledSchema({"type": "object", "properties": {"a": item, "b": item}})
    [error] = schema.validate({"a": 1, "b": 1})
    assert "cost budget" in error.detail


def test_a_rule_that_does_not_compile_refuses_everything() -> None:
    item = {"type": "integer", "x-kubernetes-validations": [{"rule": "nonsense("}]}
    [error] = CompiledSchema({"type": "object", "properties": {"a": item}}).validate({"a": 1})
    assert error.text() == "a: Invalid value: 1: failed rule: nonsense("
