"""The heartbeat: reports, an unhealthy host, and the deaf bus."""

from __future__ import annotations

import contextlib
from typing import Any

import oslo_messaging
import pytest

from hostler import errors
from hostler.agent.heartbeat import Heartbeat
from hostler.context import RequestContext
from tests.harness.compute_agents import CTX, Agent

TIMEOUT = oslo_messaging.MessagingTimeout()


class FakeLink:
    renewable = True

    def __init__(self) -> None:
        self.cause: Exception | None = None
        self.hears = True
        self.renewed = 0

    def heartbeat(self, context: RequestContext, host: str, report: dict[str, Any]) -> dict[str, Any]:
        if self.cause is not None:
            raise errors.Silent(part="The conductor service") from self.cause
        return {"accepted": True}

    def hears_itself(self) -> bool:
        return self.hears

    def renew(self) -> None:
        self.renewed += 1


class Beating:
    def __init__(self, link: FakeLink) -> None:
        self.now = 1000.0
        self.heartbeat = Heartbeat("h", link, dict, interval_s=5, patience_s=20, now=lambda: self.now)

    def run(self, seconds: int) -> None:
        for _ in range(seconds // 5):
            self.now += 5
            with contextlib.suppress(errors.Silent):
                self.heartbeat.beat()


@pytest.fixture
def link() -> FakeLink:
    return FakeLink()


def test_conductors_that_answer_need_no_new_bus(link: FakeLink) -> None:
    Beating(link).run(600)
    assert link.renewed == 0


def test_silence_over_a_living_broker_renews_the_bus_now_and_then(link: FakeLink) -> None:
    beating = Beating(link)
    link.cause = TIMEOUT
    beating.run(60)
    assert link.renewed == 1
    beating.run(120)
    assert link.renewed == 3


def test_a_dead_broker_is_left_to_the_messaging_driver(link: FakeLink) -> None:
    link.cause = oslo_messaging.MessageDeliveryFailure()
    Beating(link).run(300)
    assert link.renewed == 0


def test_an_agent_that_hears_no_calls_renews(link: FakeLink) -> None:
    beating = Beating(link)
    link.hears = False
    beating.run(70)
    assert link.renewed == 0, "one failed test may be load"
    beating.run(70)
    assert link.renewed == 1


def test_the_end_of_a_silence_is_told(link: FakeLink) -> None:
    beating = Beating(link)
    told: list[int] = []
    beating.heartbeat.on_answer = lambda: told.append(1)
    link.cause = TIMEOUT
    beating.run(10)
    link.cause = None
    beating.run(10)
    assert told == [1]


def test_a_report_has_what_the_conductors_expect(agent: Agent) -> None:
    report = agent.manager.get_host_report(CTX)
    assert {"service", "started_at", "availability_zone", "hypervisor_type", "hypervisor_version",
            "hypervisor_hostname", "host_ip", "tunnel_ip", "cpu_info", "arch", "vcpus", "ram_mib", "disk_gib", "ratios",
            "reserved", "running_servers", "uptime_s", "healthy", "unhealthy_reason", "traits", "connector",
            "self_fence_s",
            "fence_generation", "servers_share"} == set(report)
    assert report["healthy"] and report["vcpus"] == 64


def test_a_hypervisor_that_is_away_makes_the_host_unhealthy_not_unknown(agent: Agent) -> None:
    agent.reporter.report()
    agent.driver.healthy = False
    report = agent.reporter.report()
    assert not report["healthy"] and "not available" in report["unhealthy_reason"] and report["vcpus"] == 64
