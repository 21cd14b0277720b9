"""Regular expressions: what they find, what is refused, and that none takes long."""

from __future__ import annotations

import contextlib
import re
import time

import pytest

from hostler import errors
from hostler.query import patterns
from hostler.query.expressions import Compare, Operator
from tests.harness.small_cloud import Find


@pytest.mark.parametrize(("pattern", "expected"), [
    ("b", ["db", "web"]), ("^d", ["db"]), ("b$", ["db", "web"]), ("^web$", ["web"]), ("^.b$", ["db"]),
    (".*", ["app", "db", "web"]), ("^d.*", ["db"]), ("^(app|web)$", ["app", "web"]), ("app|db", ["app", "db"]),
    ("^ap{2}$", ["app"]), ("^we?b$", ["web"]), ("[dw]", ["db", "web"]), ("^[a-e]+$", ["db"]),
    ("[^a-e]", ["app", "web"]),
    ("^\\w+$", ["app", "db", "web"]), ("\\d", []), ("web\\.", []), ("p{2,}", ["app"]), ("%", []), ("_", []), ("", [
        "app", "db", "web"])])
def test_what_is_found(find: Find, pattern: str, expected: list[str]) -> None:
    assert find(Compare("name", Operator.MATCHES, pattern)) == expected
    assert [name for name in ("app", "db", "web") if re.search(pattern, name)] == expected


@pytest.mark.parametrize("pattern", [
    "(", ")", "[", "*", "a**", "(a*)*", "(a|a)*b", "(?=a)", "(?P<x>a)", "\\1", "\\bx", "a{3,2}", "a{999}", "[z-a]",
    "[a]*[a]*[a]*x", "x" * 256, "a\\"])
def test_what_is_refused(find: Find, pattern: str) -> None:
    with pytest.raises(errors.InvalidField):
        find(Compare("name", Operator.MATCHES, pattern))


@pytest.mark.parametrize("pattern", ["[a]*[a]*x", "a?a?a?a?[a]*", "(a|aa|aaa)(a|aa|aaa)[a]*x", "a.*a.*a.*a.*a.*x",
                                     "(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)" * 4])
def test_no_pattern_takes_long(find: Find, pattern: str) -> None:
    begin = time.process_time()
    with contextlib.suppress(errors.InvalidField):
        find(Compare("name", Operator.MATCHES, pattern))
    assert time.process_time() - begin < 1


def test_a_plain_pattern_is_like() -> None:
    parsed = patterns._Parser("name", "^web-.*1").parse()
    assert patterns.like_patterns(parsed) == ["web-%1%"]
    assert patterns.like_patterns(patterns._Parser("name", "50%|a_b$").parse()) == ["%50!%%", "%a!_b"]
