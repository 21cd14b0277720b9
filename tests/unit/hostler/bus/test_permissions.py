"""What the broker lets each user do, by the patterns it is given."""

from __future__ import annotations

import fnmatch
import re

import pytest

from hostler.bus.permissions import permissions_of
from hostler.bus.senders import Sender

USERS = ["api", "conductor", "scheduler", "compute.host1", "compute.host10", "compute.host1.example", "volume.host1"]
ANSWERS = "0123456789abcdef0123456789abcdef"
QUEUES = {
    "api": [], "conductor": ["conductor", "conductor.control1", "conductor_fanout", f"conductor_fanout_{ANSWERS}"],
    "scheduler": ["scheduler", "scheduler.control1", "scheduler_fanout", f"scheduler_fanout_{ANSWERS}"],
    **{user: [user, f"{user}.-", f"{user}_fanout", f"{user}_fanout_{ANSWERS}"] for user in USERS if "." in user}}


def _queues_of(user: str) -> list[str]:
    return [f"reply.{user}.{ANSWERS}", *QUEUES[user]]


@pytest.mark.parametrize("user", USERS)
def test_a_user_has_its_own_queues_and_no_other(user: str) -> None:
    allowed = permissions_of(Sender.of_user(user))
    for other in USERS:
        for queue in _queues_of(other):
            own = [bool(re.search(pattern, queue)) for pattern in (allowed.configure, allowed.write, allowed.read)]
            assert own == [other == user] * 3, queue
            if "fanout" not in queue:
                assert bool(re.search(allowed.topic_read, queue)) == (other == user), queue


@pytest.mark.parametrize("user", USERS)
def test_nobody_may_use_other_exchanges_or_bind_patterns(user: str) -> None:
    allowed = permissions_of(Sender.of_user(user))
    for exchange in ("amq.default", "amq.direct", "amq.rabbitmq.trace", "openstack", "amqXtopic"):
        assert not any(re.search(pattern, exchange) for pattern in (allowed.configure, allowed.write, allowed.read))
    assert not re.search(allowed.configure, "amq.topic")
    assert not any(re.search(allowed.topic_read, key) for key in ("#", "*", "compute.*", "reply.#", "reply.api.*"))


@pytest.mark.parametrize(("user", "to"), [
    ("api", ["conductor", "compute.*"]),
    ("conductor", ["compute.*", "volume.*", "scheduler", "reply.compute.*", "reply.volume.*"]),
    ("scheduler", ["reply.conductor.*"]),
    ("compute.host1", ["conductor", "conductor.control1", "compute.host1", "compute.host1.-", "reply.conductor.*",
                       "reply.api.*", f"reply.compute.host1.{ANSWERS}"]),
    ("volume.host1", ["conductor", "conductor.control1", "volume.host1", "volume.host1.-", "reply.conductor.*",
                      f"reply.volume.host1.{ANSWERS}"])])
def test_a_user_sends_to_those_it_calls_and_answers(user: str, to: list[str]) -> None:
    keys = {key for other in USERS for key in _queues_of(other) if "fanout" not in key}
    sent = {key for key in keys if re.search(permissions_of(Sender.of_user(user)).topic_write, key)}
    assert sent == {key for key in keys if any(fnmatch.fnmatch(key, pattern) for pattern in to)}
