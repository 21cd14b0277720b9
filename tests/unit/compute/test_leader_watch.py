"""When a host that leads outside counts as silent, and who is told how often."""

from __future__ import annotations

import time

import pytest

from compute.leader_watch import LeaderWatch, elsewhere
from compute.virt.fake.network import FakeEcho
from hostler import errors
from hostler.resources.server.specs import RouterSpec

LEADER = {"host2": "192.0.2.2"}


class Scene:
    """A watch that looks when the test says so."""

    def __init__(self) -> None:
        self.echo, self.told = FakeEcho(), list[str]()
        self.watch = LeaderWatch(self.echo, interval_s=3600, multiplier=3)
        self.watch.on_silence = self.told.append

    def look(self, times: int = 1) -> bool | None:
        for _ in range(times):
            self.watch.look()
        return self.watch.seen().get("host2")


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    made.watch.follow(LEADER)
    return made


def test_one_that_never_answered_is_never_silent_and_the_log_says_so_once(scene: Scene,
                                                                        caplog: pytest.LogCaptureFixture) -> None:
    assert scene.look(10) is None and not scene.told and not caplog.text
    assert scene.look(100) is None and not scene.told
    assert caplog.text.count("Host host2, which leads outside for routers, never answered") == 1


def test_one_is_silent_after_three_requests_without_answer(scene: Scene) -> None:
    scene.echo.answering.add("192.0.2.2")
    assert scene.look(2) is True
    scene.echo.answering.clear()
    assert scene.look() is None and scene.look() is False and not scene.told
    scene.look()
    assert scene.told == ["host2"]
    scene.echo.answering.add("192.0.2.2")
    assert scene.look() is True


def test_the_word_is_repeated_less_and_less_often(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    scene.echo.answering.add("192.0.2.2")
    scene.look()
    scene.echo.answering.clear()
    said_at = []
    for _ in range(400):
        before = len(scene.told)
        scene.look()
        if len(scene.told) > before:
            said_at.append(now)
        now += 0.5
    pauses = [later - earlier for earlier, later in zip(said_at, said_at[1:], strict=False)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_word_that_does_not_arrive_ends_nothing(scene: Scene) -> None:
    def fail(_host: str) -> None:
        raise errors.BrokerSilent()

    scene.watch.on_silence = fail
    scene.echo.answering.add("192.0.2.2")
    scene.look()
    scene.echo.answering.clear()
    assert scene.look(5) is False


def test_another_leader_starts_afresh_and_none_ends_the_thread() -> None:
    scene = Scene()
    scene.watch = LeaderWatch(scene.echo, interval_s=0.01, multiplier=3)
    scene.echo.answering.add("192.0.2.2")
    scene.watch.follow(LEADER)
    _wait(lambda: scene.watch.seen() == {"host2": True})
    scene.watch.follow({**LEADER, "host3": "192.0.2.3"})
    assert scene.watch.seen() == {"host2": True, "host3": None}
    scene.watch.follow({"host2": "192.0.2.4"})
    assert scene.watch.seen() == {"host2": None}
    scene.watch.follow({})
    _wait(lambda: scene.watch._thread is None)
    scene.watch.follow(LEADER)
    _wait(lambda: scene.watch.seen() == {"host2": True})
    scene.watch.close()


def test_it_is_switched_off_by_an_interval_of_zero() -> None:
    watch = LeaderWatch(FakeEcho(), interval_s=0, multiplier=3)
    watch.follow(LEADER)
    assert watch.seen() == {} and watch._thread is None
    watch.close()


def test_who_is_watched() -> None:
    def router(number: int, revision: int, host: str | None, tunnel_ip: str = "192.0.2.9") -> RouterSpec:
        return RouterSpec(id=str(number), revision=revision,
                          elected={"host": host, "tunnel_ip": tunnel_ip} if host else None)

    assert elsewhere([router(1, 2, "host2"), router(1, 1, "host3"), router(2, 1, None), router(3, 1, "host1"),
                      router(4, 1, "host4", ""), RouterSpec(id="5", elected={})], "host1") == {"host2": "192.0.2.9"}


def _wait(done: object) -> None:
    end = time.monotonic() + 10
    while not done():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)
