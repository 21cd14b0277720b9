"""What an event looks like."""

from __future__ import annotations

from hostler.audit import events


def make(**initiator: str) -> tuple[str, dict[str, object]]:
    return events.make(service="compute", noun="server", verb="x" * 300, status=403, path="/p" * 300, observer="host1",
                       initiator=events.Initiator(**initiator), target_id=None, beside={"server": "y" * 300})


def test_texts_of_users_are_cut() -> None:
    kind, content = make(name="n" * 300, agent="a" * 300)
    assert len(kind) < 300
    initiator = content["initiator"]
    assert isinstance(initiator, dict)
    assert {len(text) for text in (initiator["username"], initiator["host"]["agent"], content["requestPath"],
                                   content["server"])} == {events.MAX_TEXT + 1}


def test_what_is_not_known_is_left_out() -> None:
    _, content = make()
    assert content["initiator"] == {"typeURI": "service/security/account/user", "id": "unknown", "user_id": "unknown",
                                    "host": {}}
    assert content["outcome"] == "failure"
