"""Log lines: what is escaped, what is hidden, and what is left as it is."""

from __future__ import annotations

import pytest

from hostler.cmd import log_lines


@pytest.mark.parametrize("text, shown", [
    ("plain ä 中", "plain ä 中"), ("a\r\nb", r"a\x0d\x0ab"), ("\x00\x7f\x85", r"\x00\x7f\x85"),
    ("\u2028", r"\u2028"), ("\U000e0001", r"\U000e0001"), ("\udc80", r"\udc80")])
def test_what_does_not_print_is_written_out(text: str, shown: str) -> None:
    assert log_lines.escape(text) == shown


@pytest.mark.parametrize("text, shown", [
    ("https://api:8780/x?signature=ab&expires=1", "https://api:8780/x?signature=***&expires=1"),
    ("postgresql+psycopg://u:p%40w@db/x", "postgresql+psycopg://u:***@db/x"),
    ("amqp://u:p@a:1,u:q@b:2//", "amqp://u:***@a:1,u:***@b:2//"),
    ("http://host:8780/", "http://host:8780/"), ("no secret: signature", "no secret: signature"),
    ("GET /?token=0fd5-a_b HTTP/1.1", "GET /?token=*** HTTP/1.1"),
    ("path=%3Ftoken%3D0fd5-ab&x", "path=%3Ftoken%3D***&x"),
    ("GET /compute/v2.1/os-console-auth-tokens/0fd5-ab", "GET /compute/v2.1/os-console-auth-tokens/***"),
    ("a token is a token", "a token is a token"), ("'gAAAAABmXf-1234567890_abcdefgh==',", "'***',")])
def test_secrets_are_stars(text: str, shown: str) -> None:
    assert log_lines.hide_secrets(text) == shown
