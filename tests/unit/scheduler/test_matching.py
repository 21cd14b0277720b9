"""Operators of extra specs."""

from __future__ import annotations

import pytest

from scheduler.matching import value_matches


@pytest.mark.parametrize(("value", "wish", "expected"), [
    ("true", "true", True), ("true", "false", False), ("12", "= 10", True), ("12", ">= 13", False),
    ("12", "== 12", True), ("12", "!= 12", False), ("9", "<= 10", True), ("many", ">= 3", False),
    ("abc", "s== abc", True), ("abc", "s!= abc", False), ("b", "s> a", True), ("ssd", "<or> ssd <or> nvme", True),
    ("hdd", "<or> ssd <or> nvme", False), ("avx avx2", "<in> avx2", True), ("aes mmx", "<all-in> aes mmx", True),
    ("aes", "<all-in> aes mmx", False), ("", "", True), ("=", "=", True),
    ("True", "<is> true", True), ("False", "<is> True", False), ("0", "<is> no", True), ("yes", "<is> True", True),
])
def test_value_matches(value: str, wish: str, expected: bool) -> None:
    assert value_matches(value, wish) is expected
