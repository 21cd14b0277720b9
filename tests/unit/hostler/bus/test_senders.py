"""Which service may send what: the whole table, and the refusal of everything else."""

from __future__ import annotations

from typing import Any

import oslo_messaging
import pytest

from compute.manager import ComputeManager
from conductor.manager import ConductorManager
from hostler import conf as hostler_conf
from hostler import errors
from hostler.bus import Bus, ContextSerializer
from hostler.bus.senders import KINDS, OWN_ARGUMENT, AccessPolicy, Sender, VerifyingDispatcher, open_to
from hostler.context import RequestContext
from scheduler.manager import SchedulerManager
from volume.manager import VolumeManager

# Agents' methods without an argument that names the agent: ping changes nothing, progress is checked by the operation.
HOSTLESS = {"ping", "report_progress"}
NOT_OF_CONDUCTORS = {
    ConductorManager: {
        "run_operation": {"api"}, "heartbeat": {"compute"}, "server_events": {"compute"}, "reconcile": {"compute"},
        "volumes_released": {"compute"}, "volume_heartbeat": {"volume"}, "volume_reconcile": {"volume"},
        "report_progress": {"compute", "volume"}, "password_posted": {"compute"}, "group_members": {"compute"},
        "leader_silent": {"compute"}},
    ComputeManager: {"get_console_output": {"api"}, "get_console": {"api"}, "get_diagnostics": {"api"},
                     "ping": {"compute"}},
    VolumeManager: {"ping": {"volume"}},
    SchedulerManager: {},
}


def _open(manager: type) -> dict[str, Any]:
    return {name: method for name, method in vars(manager).items() if hasattr(method, "senders")}


@pytest.mark.parametrize("manager", NOT_OF_CONDUCTORS)
def test_each_method_has_its_senders(manager: type) -> None:
    expected = NOT_OF_CONDUCTORS[manager]
    for name, method in _open(manager).items():
        assert method.senders == expected.get(name, {"conductor"}), name


@pytest.mark.parametrize("manager", NOT_OF_CONDUCTORS)
def test_what_agents_send_names_their_host(manager: type) -> None:
    for name, method in _open(manager).items():
        for kind in method.senders & OWN_ARGUMENT.keys():
            assert name in HOSTLESS or OWN_ARGUMENT[kind] in method.arguments, name


class Endpoint:
    target = oslo_messaging.Target(version="2.0")

    def __init__(self) -> None:
        self.taken: list[RequestContext] = []

    @open_to("compute")
    def heartbeat(self, context: RequestContext, host: str) -> str:
        self.taken.append(context)
        return host


class RawMessage:
    def __init__(self, user: str | None) -> None:
        self.properties = {} if user is None else {"user_id": user}


class Message(dict[str, Any]):
    def __init__(self, user: str | None, method: str, args: dict[str, Any]) -> None:
        super().__init__(method=method, args=args, version="2.0")
        self._raw_message = RawMessage(user)


class Incoming:
    client_timeout = None

    def __init__(self, user: str | None, method: str = "heartbeat", context: dict[str, Any] | None = None,
                 **args: Any) -> None:
        self.message, self.ctxt = Message(user, method, args), dict(context or {})


def _dispatch(endpoint: Endpoint, incoming: Incoming) -> Any:
    return VerifyingDispatcher([endpoint], ContextSerializer(), AccessPolicy).dispatch(incoming)


def test_an_agent_speaks_of_its_own_host() -> None:
    endpoint = Endpoint()
    assert _dispatch(endpoint, Incoming("compute.host1", host="host1")) == "host1"
    assert endpoint.taken[0].agent == "host1"


@pytest.mark.parametrize("user", [None, "", "guest", "hostler", "api", "conductor", "volume.host1", "compute",
                                  "compute.", "compute.host10", "conductor.host1"])
def test_any_other_sender_is_refused(user: str | None) -> None:
    endpoint = Endpoint()
    with pytest.raises(oslo_messaging.ExpectedException) as caught:
        _dispatch(endpoint, Incoming(user, host="host1", context={"sender": "conductor"}))
    assert caught.value.exc_info[0] is errors.SenderRefused
    assert not endpoint.taken


def test_an_argument_left_out_is_not_the_own_host() -> None:
    with pytest.raises(oslo_messaging.ExpectedException):
        _dispatch(Endpoint(), Incoming("compute.host1"))


def test_an_agent_acts_for_no_user() -> None:
    endpoint = Endpoint()
    forged = {"user_id": "u", "project_id": "p", "roles": ["x"], "request_id": "req-1", "operation_id": "op",
              "attempt": 2}
    _dispatch(endpoint, Incoming("compute.host1", context=forged, host="host1"))
    context = endpoint.taken[0]
    assert (context.user_id, context.project_id, context.request_id) == (None, None, "req-1")
    assert (context.operation_id, context.attempt) == ("op", 2)


@pytest.mark.parametrize("method", ["dance", "taken", "__init__"])
def test_what_is_not_offered_is_no_method(method: str) -> None:
    with pytest.raises(oslo_messaging.NoSuchMethod):
        _dispatch(Endpoint(), Incoming("compute.host1", method))


@pytest.mark.parametrize(("kind", "host"), [
    ("nova", None), ("compute", None), ("compute", ""), ("compute", "*"), ("compute", "a#"), ("compute", "host1.-"),
    ("compute", "a_fanout"), ("compute", "a/b"), ("volume", "a b"), ("conductor", "host1"), ("api", "x")])
def test_what_is_no_service_has_no_user(kind: str, host: str | None) -> None:
    with pytest.raises(errors.Invalid):
        Sender(kind, host)


@pytest.mark.parametrize("user", ["conductor", "api", "scheduler", "compute.host1", "volume.node-1.example.org"])
def test_a_user_says_which_service_it_is_for(user: str) -> None:
    sender = Sender.of_user(user)
    assert sender.user == user
    assert sender.kind in KINDS


@pytest.mark.parametrize("url", ["rabbit://guest:guest@192.0.2.1/", "rabbit://192.0.2.1/",
                                 "rabbit://compute.a:x@192.0.2.1,compute.b:x@192.0.2.2/"])
def test_verifying_needs_a_user_of_one_service(url: str) -> None:
    with pytest.raises(errors.Invalid, match="verify_senders"):
        Bus(hostler_conf.load([], config_files=[], overrides={"transport_url": url, "bus.verify_senders": True}))


def test_the_memory_bus_has_no_users() -> None:
    bus = Bus(hostler_conf.load([], config_files=[], overrides={"transport_url": "kombu+memory:////",
                                                                "bus.verify_senders": True}))
    assert bus.exchange is None
    bus.close()
