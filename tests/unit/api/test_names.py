"""Names that a URL path cannot carry."""

from __future__ import annotations

import re

import pytest

from api import names
from hostler import errors

CLIMBING = (".", "..", "%2e", "%2E%2e", ".%2e", "a/..", "../a", "a/./b", "a/../b", "./", "a\n/..")
PLAIN = ("a", "...", "a.b", ".a", "a..", "..a", "%2ea", "1.0", "a b")


@pytest.mark.parametrize("name", CLIMBING)
def test_climbing_names_are_refused(name: str) -> None:
    assert re.match(f"^{names.SAFE}", name) is None
    with pytest.raises(errors.InvalidField):
        names.check_name("key", name, slashes=True)


@pytest.mark.parametrize("name", PLAIN)
def test_other_names_pass(name: str) -> None:
    assert re.match(f"^{names.SAFE}", name)
    assert re.search(str(names.NAME_SCHEMA["pattern"]), name)
    names.check_name("key", name)


@pytest.mark.parametrize("name", ["", "a/b", "a\x00"])
def test_empty_names_and_slashes_are_refused(name: str) -> None:
    assert re.search(str(names.NAME_SCHEMA["pattern"]), name) is None
    with pytest.raises(errors.InvalidField):
        names.check_name("tag", name)


def test_a_slash_may_be_allowed() -> None:
    names.check_name("key", "kubernetes.io/created-for/pvc", slashes=True)
    assert re.match(f"^{names.SAFE}", "kubernetes.io/created-for/pvc")
