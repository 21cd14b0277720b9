"""A misspelt constraint in a request to the scheduler vanished without a word: the server was placed anywhere."""

from __future__ import annotations

import pytest

from hostler import errors
from hostler.resources.server.specs import Spec
from scheduler.rpcapi import BackendChoice, BackendRequest, Choice, Request

MESSAGES = [
    Request(consumer_id="s", vcpus=1, ram_mib=1, disk_gib=1, excluded_hosts=("h1",), hints={"same_host": "x"}),
    BackendRequest(volume_id="v", excluded_backends=("b",), zone="z"),
    Choice(host_id="i", host="h", zone="z"),
    BackendChoice(backend_id="i", node="n", backend="b", zone="z"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_with_an_unknown_key_is_refused_by_name(message: Spec) -> None:
    assert type(message).from_wire(message.to_wire()) == message
    with pytest.raises(errors.Invalid, match=f"{type(message).__name__} has no field exclude_hosts"):
        type(message).from_wire({**message.to_wire(), "exclude_hosts": ["h1"]})
