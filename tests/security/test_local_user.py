"""A curious local user (`nobody`) reads nothing of tenants on a host; QEMU and dnsmasq reach what is theirs.

On real files, sockets and processes, below a directory that all users of the host may enter, as /var/lib is.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from compute.layout import Layout
from compute.specfile import SpecFiles
from hostler import conf as hostler_conf
from hostler.agent.passage import QEMU_USERS, first_user
from hostler.db.engine import Database
from hostler.images.cache import ImageCache
from hostler.images.store import ImageStore
from tests.harness import network_lab
from tests.harness.compute_agents import make_server
from tests.harness.network_lab import ALLOW_OUT, Cloud, make_network
from volume.drivers.file.directory import Directory
from volume.layout import Layout as VolumeLayout

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else"),
              pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")]
SECRET = "tenant's secret"


@pytest.fixture
def state() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def run_as(user: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["setpriv", "--reuid", user, "--clear-groups", "--regid", str(pwd.getpwnam(user).pw_gid),
                           "--", *command], capture_output=True, text=True, check=False)


def everything_read_by(user: str, state: Path) -> str:
    """Return all that a user can read below a directory whose files it knows by name."""
    names = [str(path) for path in state.rglob("*") if not path.is_dir()]
    return run_as(user, "cat", *names).stdout + run_as(user, "find", str(state), "-mindepth", "2").stdout


def a_host(state: Path) -> Layout:
    layout = Layout(state)
    layout.prepare()
    server = make_server()
    SpecFiles(layout).save(server)
    for path in (layout.disk(server.id), layout.disk(server.id, "disk.config"), layout.console_log(server.id),
                 layout.images / ("ab" * 32)):
        path.write_text(SECRET)
        path.chmod(0o644)  # as an earlier release made them
    layout.prepare()
    ImageCache(layout.images, max_bytes=1, min_age_s=0)
    return layout


def test_nobody_reads_disks_logs_images_or_specs(state: Path) -> None:
    layout = a_host(state)
    assert everything_read_by("root", state).count(SECRET) == 4
    assert everything_read_by("nobody", layout.root) == ""
    assert run_as("nobody", "ls", str(layout.root)).returncode != 0
    for directory in (layout.root, *(path for path in layout.root.rglob("*") if path.is_dir())):
        assert not directory.stat().st_mode & 0o007


@pytest.mark.skipif(first_user(QEMU_USERS) is None, reason="QEMU has no user of its own here")
def test_qemu_reaches_a_disk_that_libvirt_gave_it_and_no_other(state: Path) -> None:
    layout = a_host(state)
    user = first_user(QEMU_USERS)
    assert user is not None
    disk, spec = next(layout.servers.glob("*/disk")), next(layout.servers.glob("*/spec.json"))
    os.chown(disk, user.pw_uid, user.pw_gid)
    assert run_as(user.pw_name, "cat", str(disk)).stdout == SECRET
    assert run_as(user.pw_name, "cat", str(spec)).returncode != 0
    assert run_as(user.pw_name, "ls", str(disk.parent)).returncode != 0


def test_nobody_reads_volumes(state: Path) -> None:
    VolumeLayout(state).prepare()
    directory = Directory(state / "volumes" / "local", owner="local", own=True, memory=state / "volume" / "share.json")
    directory.open()
    (directory.path / "volume-1.raw").write_text(SECRET)
    for room in ("volumes", "volume"):
        assert everything_read_by("nobody", state / room) == ""
        assert run_as("nobody", "ls", str(state / room)).returncode != 0


def test_nobody_reads_the_image_store(state: Path) -> None:
    conf = hostler_conf.load([], config_files=[], overrides={"state_path": str(state)})
    store = ImageStore(conf)
    content = store.receive([SECRET.encode()], lambda content: content, lambda _sha256: True)
    path = store.path_of(content.sha256)
    for directory in (path.parent, state / "images"):
        directory.chmod(0o755)  # as an earlier release made them
    assert everything_read_by("root", state / "images").count(SECRET) == 1
    ImageStore(conf)
    assert everything_read_by("nobody", state / "images") == ""


def test_nobody_reads_the_embedded_database(state: Path) -> None:
    database = Database(f"sqlite:///{state / 'hostler.db'}")
    database.write(lambda session: None)
    assert run_as("nobody", "cat", str(state / "hostler.db")).returncode != 0
    database.dispose()


class TestNetworks:
    """A network's files and its DHCP server."""

    pytestmark = network_lab.NEEDS

    @pytest.fixture(scope="class", autouse=True)
    @staticmethod
    def host() -> Iterator[None]:
        with network_lab.host_network():
            yield

    def test_dhcp_is_served_by_no_superuser_who_reads_no_secrets(self, state: Path) -> None:
        """Given a guest with user data, its DHCP server runs as another user and follows changes."""
        cloud = Cloud(state)
        try:
            net = make_network()
            guest = cloud.boot(10, net, ALLOW_OUT)
            assert guest.dhcp()
            pid = cloud.dnsmasq_pid(net.id)
            uid = int(next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                           if line.startswith("Uid:")).split()[1])
            assert uid != 0
            user = pwd.getpwuid(uid).pw_name
            second = cloud.boot(11, net, ALLOW_OUT)
            assert second.dhcp()["ip"] == "10.77.0.11", "it read its entries again"
            assert cloud.dnsmasq_pid(net.id) == pid
            secrets = [str(path) for path in cloud.state(net.id).glob("ports/*.json")]
            assert len(secrets) == 2
            assert run_as(user, "cat", *secrets).stdout == ""
            assert everything_read_by("nobody", state / "state" / "compute") == ""
            cloud.restart_agent()
            cloud.plumbing.restore([guest.server, second.server])
            assert cloud.dnsmasq_pid(net.id) == pid, "a new agent finds it again"
        finally:
            cloud.tear_down()
