"""The unmodified clients against the image face, over real sockets, with the real identity."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import openstack
import pytest

from api import policies, wsgi
from api.front.server import HttpServer
from api.openstack.identity import FACE as IDENTITY
from api.openstack.image import FACE as IMAGE
from api.policy import Policy
from api.services import Services
from hostler import conf as configuration
from hostler.bootstrap import bootstrap
from hostler.db.engine import Database
from hostler.db.models import Base
from hostler.identity.service import Identity
from hostler.images.store import ImageStore
from tests.harness import chosen_database, openstack_cli

needs_client = pytest.mark.skipif(openstack_cli.missing() is not None, reason=str(openstack_cli.missing()))


@dataclasses.dataclass
class Site:
    """A served api: its address, where its files are, how to reach it."""

    port: int
    home: Path
    clouds_file: Path
    sdk: Any

    def run(self, *arguments: str, fails: bool = False, data: bytes | None = None, **options: Any) -> str:
        """Run `openstack …`; return what it prints, or what it complains of when it is to fail."""
        done = openstack_cli.run(arguments, {"HOME": str(self.home), "OS_CLIENT_CONFIG_FILE": str(self.clouds_file),
                                             "OS_CLOUD": "hostler"}, data=data, **options)
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else done.stdout

    def json(self, *arguments: str, **options: Any) -> Any:
        """Run `openstack … -f json`."""
        return json.loads(self.run(*arguments, "-f", "json", **options))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Identity and images behind the product's HTTP server."""
    home = tmp_path_factory.mktemp("site")
    conf = configuration.load([], config_files=[], overrides={
        "state_path": str(home), "identity.password_rounds": 4, "api.bind_host": "127.0.0.1", "api.bind_port": 0})
    db = Database(chosen_database.url_of(home / "hostler.db"))
    Base.metadata.create_all(db.engine)
    services = Services(conf=conf, db=db, identity=Identity(db, conf), policy=Policy(conf, policies.all_defaults()),
                        images=ImageStore(conf), waker=cast(Any, None), compute=cast(Any, None))
    server = HttpServer(conf, wsgi.build(services, [IDENTITY, IMAGE]))
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    port = server.port
    made = bootstrap(db, conf, admin_password=None, public_url=f"http://127.0.0.1:{port}", out_dir=home)
    config = openstack.config.OpenStackConfig(config_files=[str(made.clouds_file)], secure_files=[])
    yield Site(port=port, home=home, clouds_file=Path(made.clouds_file),
               sdk=openstack.connection.Connection(config=config.get_one("hostler")))
    server.stop()
    thread.join(timeout=10)
    db.dispose()


@needs_client
def test_an_image_by_hand(site: Site, tmp_path: Path) -> None:
    """Given a file, when it is created, listed, shown, changed, saved and deleted by hand, then all of it works."""
    source, target = tmp_path / "disk.raw", tmp_path / "back.raw"
    source.write_bytes(os.urandom(3_000_000))
    made = site.json("image", "create", "--file", str(source), "--disk-format", "raw", "--property", "os_type=linux",
                     "--tag", "one", "by hand")
    assert (made["status"], made["size"], made["tags"]) == ("active", 3_000_000, ["one"])
    assert site.json("image", "list") == [{"ID": made["id"], "Name": "by hand", "Status": "active"}]
    site.run("image", "set", "--property", "colour=red", "--tag", "two", "--protected", "--min-ram", "64",
             "--name", "renamed", "by hand")
    shown = site.json("image", "show", "renamed")
    assert (shown["protected"], shown["min_ram"], shown["tags"]) == (True, 64, ["one", "two"])
    assert shown["properties"]["colour"] == "red" and shown["properties"]["os_type"] == "linux"
    site.run("image", "save", "--file", str(target), "renamed")
    assert target.read_bytes() == source.read_bytes()
    assert "protected" in site.run("image", "delete", "renamed", fails=True)
    site.run("image", "set", "--unprotected", "renamed")
    site.run("image", "unset", "--property", "colour", "--tag", "two", "renamed")
    site.run("image", "delete", "renamed")
    assert site.json("image", "list") == []


@needs_client
def test_refusals_are_printed(site: Site, tmp_path: Path) -> None:
    """Given a qcow2 with a backing file, when it is created by hand, then the reason is printed, no image is left."""
    bad = tmp_path / "bad.qcow2"
    bad.write_bytes(b"QFI\xfb\0\0\0\3\0\0\0\0\0\0\1\0".ljust(8_000_000, b"\0"))
    assert "backing file" in site.run("image", "create", "--file", str(bad), "--disk-format", "qcow2", "bad",
                                      fails=True)
    assert site.json("image", "list") == []


@needs_client
def test_data_from_a_pipe_and_by_import(site: Site, tmp_path: Path) -> None:
    """Given data on standard input (sent in chunks), and an import, when images are created, then they are active."""
    piped = site.json("image", "create", "--disk-format", "raw", "piped", data=b"line one\nline two\n" * 2000)
    assert (piped["status"], piped["size"]) == ("active", 36000)
    source = tmp_path / "data"
    source.write_bytes(b"imported")
    imported = site.json("image", "create", "--import", "--disk-format", "raw", "--file", str(source), "by import")
    assert (imported["status"], imported["size"]) == ("active", 8)
    for image in (piped, imported):
        site.run("image", "delete", image["id"])


def test_the_sdk_pages_and_shares(site: Site) -> None:
    """Given images, when the SDK lists them in pages, finds one and shares it, then it gets what is there."""
    images = [site.sdk.image.create_image(f"n{number}", data=b"x", disk_format="raw", allow_duplicates=True)
              for number in range(5)]
    assert [image.name for image in site.sdk.image.images(limit=2, sort="name:asc")] == [f"n{n}" for n in range(5)]
    found = site.sdk.image.find_image("n3")
    assert found.status == "active" and found.owner_id == site.sdk.current_project_id
    assert site.sdk.image.download_image(found).content == b"x"
    member = site.sdk.image.add_member(found, member_id="0" * 32)
    assert [one.member_id for one in site.sdk.image.members(found)] == [member.member_id]
    site.sdk.image.deactivate_image(found)
    assert site.sdk.image.get_image(found).status == "deactivated"
    assert site.sdk.image.find_image("absent") is None
    for image in images:
        site.sdk.image.delete_image(image)


@pytest.mark.parametrize("head", [b"Content-Length: 5000000\r\n\r\n" + b"x" * 1_500_000,
                                  b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n100000\r\nmore"])
def test_a_client_that_hangs_up(site: Site, head: bytes) -> None:
    """Given an upload whose connection is cut, when it is over, then the image is queued and the store is empty."""
    image = site.sdk.image.create_image("cut", disk_format="raw", container_format="bare", allow_duplicates=True)
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        connection.sendall(f"PUT /image/v2/images/{image.id}/file HTTP/1.1\r\nHost: x\r\n"
                           f"X-Auth-Token: {site.sdk.auth_token}\r\n"
                           "Content-Type: application/octet-stream\r\n".encode() + head)
        end = time.monotonic() + 10
        while site.sdk.image.get_image(image).status != "saving" and time.monotonic() < end:
            time.sleep(0.02)
    while site.sdk.image.get_image(image).status != "queued" and time.monotonic() < end:
        time.sleep(0.02)
    assert site.sdk.image.get_image(image).status == "queued"
    assert list((site.home / "images" / "incoming").iterdir()) == []
    site.sdk.image.delete_image(image)
