"""Fixtures of these tests: each answer of an application is compared with the published schemas."""

from __future__ import annotations

from tests.harness.answers import answers_are_checked, checked_answers

__all__ = ["answers_are_checked", "checked_answers"]
