"""The memory of validated tokens: bounded, short, and never older than a change."""

from __future__ import annotations

import time

from hostler.identity.cache import TokenCache


def test_what_was_put_is_found_for_a_while() -> None:
    cache = TokenCache(0.05)
    cache.put("t", {"user_id": "u"}, lifetime_s=100, generation=cache.generation)
    assert cache.get("t") == {"user_id": "u"}
    time.sleep(0.06)
    assert cache.get("t") is None


def test_nothing_outlives_its_token() -> None:
    cache = TokenCache(100)
    cache.put("t", {}, lifetime_s=0, generation=cache.generation)
    assert cache.get("t") is None


def test_zero_seconds_turn_it_off() -> None:
    cache = TokenCache(0)
    cache.put("t", {}, lifetime_s=100, generation=cache.generation)
    assert cache.get("t") is None


def test_an_answer_from_before_a_change_is_not_kept() -> None:
    cache = TokenCache(100)
    generation = cache.generation
    cache.clear()
    cache.put("t", {}, lifetime_s=100, generation=generation)
    assert cache.get("t") is None


def test_the_oldest_make_room() -> None:
    cache = TokenCache(100, max_entries=8)
    for number in range(20):
        cache.put(str(number), {}, lifetime_s=100, generation=cache.generation)
    held = [number for number in range(20) if cache.get(str(number)) is not None]
    assert len(held) <= 8
    assert held[-1] == 19
