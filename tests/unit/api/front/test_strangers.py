"""Who is closed when too many connections have shown no token."""

from __future__ import annotations

import functools

from api.front.strangers import Strangers


def test_the_oldest_of_the_address_with_most_is_ended() -> None:
    ended: list[int] = []
    strangers = Strangers(4)
    for number, source in enumerate(["a", "b", "b", "a", "b", "c"]):
        strangers.add(number, source, functools.partial(ended.append, number))
    assert ended == [1, 0]
    strangers.remove(2)  # it has shown a token
    strangers.remove(1)  # closed; it was forgotten already
    strangers.add(6, "d", functools.partial(ended.append, 6))
    assert ended == [1, 0]


def test_what_is_ended_meanwhile_ends_in_the_new_way() -> None:
    ended: list[str] = []
    strangers = Strangers(1)
    strangers.add(1, "a", lambda: ended.append("before the handshake"))
    strangers.change_end(1, lambda: ended.append("after it"))
    strangers.add(2, "b", lambda: None)
    strangers.change_end(1, lambda: ended.append("too late"))
    assert ended == ["after it", "too late"]
