"""Password hashes."""

from __future__ import annotations

import pytest

from hostler.identity import passwords


def test_every_byte_of_a_long_password_counts() -> None:
    stored = passwords.hash_password("x" * 100 + "a", 4)
    assert passwords.password_matches("x" * 100 + "a", stored, 4)
    assert not passwords.password_matches("x" * 100 + "b", stored, 4)


@pytest.mark.parametrize("password", ["pässwörd", "a\x00b", "", "🐎" * 40, "\ud800"])
def test_any_text_is_a_password(password: str) -> None:
    stored = passwords.hash_password(password, 4)
    assert passwords.password_matches(password, stored, 4)
    assert not passwords.password_matches(password + "x", stored, 4)
    assert not passwords.password_matches("a", passwords.hash_password("a\x00b", 4), 4)


def test_without_a_hash_nothing_matches() -> None:
    assert not passwords.password_matches("", None, 4)
    assert not passwords.password_matches("x", None, 4)
