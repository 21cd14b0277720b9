"""A user forged log lines with `%0A`, and found in the log who asked before and how to fetch images.

One line for one message, secrets as stars, and the user of the request that a line is about.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from falcon import testing

from api import wsgi
from api.service import FACES
from hostler import conf as hostler_conf
from hostler.cmd import running as running_commands
from tests.harness.client import Client
from tests.harness.inprocess import Cloud

_START = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \d+ (INFO|WARNING|ERROR) ")
Read = Callable[[], list[str]]


@pytest.fixture
def read_log(tmp_path: Path) -> Iterator[Read]:
    """Log as a service does; the lines since the last call."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    path = tmp_path / "service.log"
    conf = hostler_conf.load([], config_files=[], overrides={"log_file": str(path)})
    running_commands.set_up_logging(conf, "hostler-test")
    seen = 0

    def read() -> list[str]:
        nonlocal seen
        text = path.read_text()[seen:]
        seen += len(text)
        return text.split("\n")[:-1]

    yield read
    for handler in root.handlers:
        handler.close()
    root.handlers, root.level = before, level


@pytest.fixture
def ask(cloud: Cloud) -> testing.TestClient:
    """The api without its server: every request is answered by this thread."""
    return testing.TestClient(wsgi.build(cloud.api.services, FACES))


def test_what_a_user_sends_is_one_line(ask: testing.TestClient, read_log: Read) -> None:
    """Given control characters in paths, queries and headers, then each line of the log begins as lines do."""
    forged = "2026-01-01 00:00:00.000 1 INFO hostler.access [admin] all is well"
    for path in (f"/compute/v2.1/servers/x%0A{forged}", "/image/v2/images/%1b%5b2J", "/volume/v3/x%c2%85y",
                 f"/identity/v3/users?name=%0D%0A{forged}", "/network/v2.0/%E2%80%A8forged", "/%7f%08%08"):
        ask.simulate_get(path, headers={"X-OpenStack-Request-ID": "req-1\t2", "X-Auth-Token": "a\tb"})
    lines = read_log()
    assert len(lines) >= 6
    assert all(_START.match(line) and line.isprintable() for line in lines), lines
    assert any(r"x\x0a2026" in line for line in lines)


def test_a_traceback_is_told_from_a_line(read_log: Read) -> None:
    try:
        raise ValueError("broken\nlines\x1b[2J gAAAAABsecretsecretsecretsecret")
    except ValueError:
        logging.getLogger("x").exception("a\nb")
    lines = read_log()
    assert all(_START.match(line) and line.isprintable() for line in lines), lines
    assert r"a\x0ab" in lines[0]
    assert len(lines) > 3
    assert "secretsecret" not in "".join(lines)


def test_no_line_holds_what_opens_a_door(ask: testing.TestClient, client: Client, read_log: Read) -> None:
    token = str(client._session.headers["X-Auth-Token"])
    ask.simulate_get("/image/blobs/" + "ab" * 32, params={"expires": "9", "signature": "c0ffee"})
    ask.simulate_get(f"/compute/v2.1/{token}")
    logging.getLogger("x").warning("%s", ConnectionError(f"HTTP: /x?signature=c0ffee&expires=9 {token}"))
    logging.getLogger("x").warning("connecting to amqp://agent:c0ffee@[::1]:5672/ and http://api:8780/a:b@c")
    text = "\n".join(read_log())
    assert "c0ffee" not in text
    assert token not in text
    assert "signature=***" in text
    assert "amqp://agent:***@[::1]:5672/" in text
    assert "http://api:8780/a:b@c" in text


def test_a_line_names_no_user_but_its_own(ask: testing.TestClient, client: Client, read_log: Read) -> None:
    """Given a request with a token, when one without follows on the same thread, then no line of it names the user."""
    token = str(client._session.headers["X-Auth-Token"])
    user = client.token["user"]["id"]
    assert ask.simulate_get("/compute/v2.1/servers", headers={"X-Auth-Token": token}).status_code == 200
    assert any(user in line.replace("-", "") for line in read_log())
    assert ask.simulate_get("/compute/v2.1/servers").status_code == 401
    lines = read_log()
    assert lines
    assert not any(user in line.replace("-", "") or client.project_id in line.replace("-", "") for line in lines)


def test_a_database_error_holds_no_values(cloud: Cloud) -> None:
    with pytest.raises(sa.exc.SQLAlchemyError) as caught, cloud.db.reading() as session:
        session.execute(sa.text("SELECT :secret FROM nowhere"), {"secret": "c0ffee"})
    assert "c0ffee" not in str(caught.value)
