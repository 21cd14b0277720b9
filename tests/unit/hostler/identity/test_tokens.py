"""A token's text: all of it comes back, and nothing but our own text is taken."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostler import ids
from hostler.identity import keys, tokens
from hostler.identity.keys import KeyRing
from hostler.identity.tokens import SYSTEM, UNSCOPED, Scope, Token

_MOMENTS = st.datetimes(min_value=dt.datetime(2000, 1, 1), max_value=dt.datetime(2100, 1, 1))
_IDS = st.uuids().map(str)
_SCOPES = st.one_of(st.just(UNSCOPED), st.just(SYSTEM), _IDS.map(lambda one: Scope("project", one)),
                    st.just(Scope("domain", "default")))
_METHODS = st.sampled_from([("password",), ("password", "token"), ("application_credential",)])


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    directory: Path = tmp_path_factory.mktemp("keys")
    keys.ensure(directory)
    return KeyRing(directory)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(user_id=_IDS, scope=_SCOPES, methods=_METHODS, issued_at=_MOMENTS, expires_at=_MOMENTS,
       audits=st.integers(1, 2), credential_id=st.none() | _IDS)
def test_a_token_comes_back_whole(ring: KeyRing, user_id: str, scope: Scope, methods: tuple[str, ...],
                                  issued_at: dt.datetime, expires_at: dt.datetime, audits: int,
                                  credential_id: str | None) -> None:
    token = Token(user_id=user_id, scope=scope, methods=methods, issued_at=issued_at, expires_at=expires_at,
                  audit_ids=tuple(tokens.new_audit_id() for _ in range(audits)),
                  application_credential_id=credential_id)
    text = tokens.seal(ring, token)
    assert len(text) < 256
    assert text == text.strip("=")
    assert tokens.unseal(ring, text) == token


def _token() -> Token:
    moment = dt.datetime(2026, 1, 1)
    return Token(user_id=ids.new_id(), scope=UNSCOPED, methods=("password",), issued_at=moment, expires_at=moment,
                 audit_ids=(tokens.new_audit_id(),))


def test_a_changed_letter_makes_it_worthless(ring: KeyRing) -> None:
    text = tokens.seal(ring, _token())
    for place in (0, 20, 100, len(text) - 3):
        letter = "A" if text[place] != "A" else "B"
        assert tokens.unseal(ring, text[:place] + letter + text[place + 1:]) is None


@pytest.mark.parametrize("text", ["", "x", "é", "=" * 50, "x" * 100000, "gAAAAA", "\x00"])
def test_other_text_is_no_token(ring: KeyRing, text: str) -> None:
    assert tokens.unseal(ring, text) is None


def test_a_token_under_another_key_is_none_of_ours(ring: KeyRing) -> None:
    assert tokens.unseal(ring, Fernet(Fernet.generate_key()).encrypt(b"x").decode()) is None
