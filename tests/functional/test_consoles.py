"""Consoles of fake guests through the proxy: who gets one, what a URL is worth, and when it stops being worth it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from sqlalchemy import orm

from console import service as console_service
from hostler import ids
from hostler.db.models import ConsoleToken
from hostler.db.moments import now
from hostler.resources.server import consoles
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import free_port
from tests.harness.projects import new_project
from tests.harness.websockets import Refused, WebSocket

URL = re.compile(r"(\w+)://127\.0\.0\.1:(\d+)/([\w.]*)\?token=([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f-]{17})")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Client]]:
    port = free_port()
    base = f"127.0.0.1:{port}"
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), hosts=2, nodes=0, overrides={
        "console.novncproxy_host": "127.0.0.1", "console.novncproxy_port": port,
        "console.novncproxy_base_url": f"http://{base}/vnc_auto.html", "console.serial_base_url": f"ws://{base}/",
        "console.html5proxy_base_url": f"http://{base}/spice_auto.html",
        "console.novnc_path": str(tmp_path_factory.mktemp("novnc"))})
    client = cloud.start()
    proxy = console_service.build(cloud.conf, db=cloud.db)
    proxy.start()
    yield cloud, client
    proxy.stop()
    cloud.stop()


@pytest.fixture(scope="module")
def cloud(running: tuple[Cloud, Client]) -> Cloud:
    return running[0]


@pytest.fixture(scope="module")
def client(running: tuple[Cloud, Client]) -> Client:
    return running[1]


@pytest.fixture(scope="module")
def image(client: Client) -> str:
    return client.make_image()


@pytest.fixture(scope="module")
def server(client: Client, image: str) -> str:
    server_id = client.create_server(image)
    client.wait_server(server_id, "ACTIVE")
    return server_id


def ask(client: Client, server: str, protocol: str = "vnc", type_: str = "novnc", **headers: str) -> requests.Response:
    return client.post(f"/compute/v2.1/servers/{server}/remote-consoles",
                       {"remote_console": {"protocol": protocol, "type": type_}}, headers=headers)


def act(client: Client, server: str, action: str, type_: str) -> requests.Response:
    return client.post(f"/compute/v2.1/servers/{server}/action", {action: {"type": type_}},
                       headers={"OpenStack-API-Version": "compute 2.1"})


def url_of(answer: requests.Response) -> str:
    assert answer.status_code == 200, answer.text
    [body] = answer.json().values()
    return str(body["url"])


def socket_url(url: str) -> str:
    """Return where a page at `url` opens its WebSocket."""
    found = URL.fullmatch(url)
    assert found is not None, url
    return f"ws://127.0.0.1:{found[2]}/?token={found[4]}"


def refused(url: str, **options: Any) -> int:
    with pytest.raises(Refused) as caught:
        WebSocket(url, **options)
    return caught.value.status


@pytest.mark.contract("N-CONSOLE")
@pytest.mark.parametrize(("protocol", "type_", "action", "page", "greeting"), [
    ("vnc", "novnc", "os-getVNCConsole", "vnc_auto.html", b"RFB 003.008\n"),
    ("serial", "serial", "os-getSerialConsole", "", b"fake guest login: ")])
def test_a_console_is_opened_by_its_url_once(client: Client, server: str, protocol: str, type_: str, action: str,
                                             page: str, greeting: bytes) -> None:
    old = act(client, server, action, type_)
    new = ask(client, server, protocol, type_)
    assert old.json()["console"]["type"] == type_
    assert {**new.json()["remote_console"], "url": ""} == {"protocol": protocol, "type": type_, "url": ""}
    for url in (url_of(old), url_of(new)):
        found = URL.fullmatch(url)
        assert found is not None and found[3] == page
        console = WebSocket(socket_url(url))
        assert console.read(len(greeting)) == greeting
        console.send(b"x" * 70000)
        assert console.read(70000) == b"x" * 70000
        assert refused(socket_url(url)) == 403
        console.close()
        assert refused(socket_url(url)) == 403


def test_nothing_else_opens_one(client: Client, server: str) -> None:
    url = socket_url(url_of(ask(client, server)))
    for wrong in ("", "?token=", f"?token={ids.new_id()}", "?token=%00%ff", "?token=' or 1=1--"):
        assert refused(url.partition("?")[0] + wrong.replace(" ", "%20")) == 403
    WebSocket(url).close()


@pytest.mark.parametrize("change", [{"expires_at": now(-1)}, {"host_id": ids.new_id()}])
def test_it_ends_in_time_and_with_a_move(cloud: Cloud, client: Client, server: str, change: dict[str, Any]) -> None:
    url = socket_url(url_of(ask(client, server)))
    digest = consoles.digest_of(url.partition("token=")[2])

    def alter(session: orm.Session) -> None:
        changed: Any = session.execute(sa.update(ConsoleToken).where(ConsoleToken.digest == digest).values(**change))
        assert changed.rowcount == 1

    cloud.db.write(alter)
    assert refused(url) == 403


def test_it_dies_with_its_server(client: Client, image: str) -> None:
    server = client.create_server(image, "short")
    client.wait_server(server, "ACTIVE")
    url, unused = (socket_url(url_of(ask(client, server))) for _ in range(2))
    console = WebSocket(url)
    console.read(4)
    client.delete(f"/compute/v2.1/servers/{server}")
    client.wait_gone(server)
    assert refused(unused) == 403
    assert ask(client, server).status_code == 404


def test_one_that_is_off_has_none(client: Client, image: str) -> None:
    server = client.create_server(image, "off")
    client.wait_server(server, "ACTIVE")
    late = socket_url(url_of(ask(client, server)))
    client.post(f"/compute/v2.1/servers/{server}/action", {"os-stop": None})
    client.wait_server(server, "SHUTOFF")
    answer = ask(client, server)
    assert answer.status_code == 409 and "not running" in answer.json()["conflictingRequest"]["message"]
    assert refused(late) == 503


def test_only_those_that_there_are(client: Client, server: str) -> None:
    assert act(client, server, "os-getVNCConsole", "xvpvnc").json()["badRequest"]["message"] == (
        "Unavailable console type xvpvnc.")
    for action, type_ in (("os-getRDPConsole", "rdp-html5"), ("os-getSPICEConsole", "spice-html5"),
                          ("os-getVNCConsole", "spice-html5"), ("os-getSerialConsole", "console")):
        assert act(client, server, action, type_).status_code == 400, action
    for protocol, type_ in (("rdp", "rdp-html5"), ("spice", "spice-html5"), ("vnc", "serial"), ("mks", "webmks"),
                            ("vnc", "xvpvnc"), ("telnet", "serial"), ("spice", "spice-direct")):
        assert ask(client, server, protocol, type_).status_code == 400, (protocol, type_)
    assert ask(client, server, **{"OpenStack-API-Version": "compute 2.5"}).status_code == 404
    assert ask(client, ids.new_id()).status_code == 404
    assert client.post(f"/compute/v2.1/servers/{server}/action", {"os-getVNCConsole": {"type": "novnc"}},
                       headers={"OpenStack-API-Version": "compute 2.6"}).status_code == 400


def test_another_project_gets_none(cloud: Cloud, client: Client, server: str) -> None:
    stranger = new_project(cloud, client)
    assert ask(stranger, server).status_code == 404
    assert act(stranger, server, "os-getVNCConsole", "novnc").status_code == 404


def test_administrators_are_shown_where_a_token_leads(cloud: Cloud, client: Client, server: str) -> None:
    token = url_of(ask(client, server)).partition("token=")[2]
    shown = client.get(f"/compute/v2.1/os-console-auth-tokens/{token}").json()["console"]
    assert shown["instance_uuid"] == server and shown["host"] == "127.0.0.1" and isinstance(shown["port"], int)
    assert client.get(f"/compute/v2.1/os-console-auth-tokens/{ids.new_id()}").status_code == 404
    assert client.get(f"/compute/v2.1/os-console-auth-tokens/{token}", headers={
        "OpenStack-API-Version": "compute 2.30"}).status_code == 401
    member = new_project(cloud, client)
    assert member.get(f"/compute/v2.1/os-console-auth-tokens/{token}").status_code == 403


def test_pages_of_other_sites_open_none(client: Client, server: str) -> None:
    url = socket_url(url_of(ask(client, server)))
    assert refused(url, origin="https://evil.example") == 403
    assert refused(url, origin="null") == 403
    WebSocket(url, origin="http://127.0.0.1:8080").close()


def test_pages(client: Client, server: str) -> None:
    url = url_of(ask(client, server))
    answer = requests.get(url, timeout=10)
    assert answer.status_code == 503 and "package novnc" in answer.text
    base, token = url.split("vnc_auto.html?token=")
    page = requests.get(f"{base}?token={token}", timeout=10)
    assert "serial" in page.text.lower() and page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store" and token not in page.text
    assert requests.get(f"{base}healthcheck", timeout=10).text == "OK\n"
    for path in ("..%2f..%2fetc/passwd", "%2e%2e/secret", ".git/config", "nothing.js", "xterm/../../etc/passwd",
                 "app/"):
        assert requests.get(base + path, timeout=10).status_code == 404, path


def test_no_token_gets_into_a_log(client: Client, server: str, cloud: Cloud,
                                  caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = socket_url(url_of(ask(client, server)))
    token = url.partition("token=")[2]
    WebSocket(url).close()
    assert refused(url) == 403
    requests.get(f"http{url[2:]}", timeout=10)
    assert "opened console vnc" in caplog.text
    ours = [record.getMessage() for record in caplog.records if record.name.split(".")[0] in (
        "api", "console", "compute", "hostler", "websockify")]
    assert not [line for line in ours if token in line]
    audited = (cloud.directory / "audit.log").read_text()
    assert "opened.vnc-console" in audited and token not in audited
