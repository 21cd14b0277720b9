"""A dnsmasq process is recognised by what it runs with, not by a number alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compute.network.dnsmasq import Dnsmasq

_SLEEP = "import time; print('up', flush=True); time.sleep(60)"


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose command line looks like the network's DHCP server."""
    with subprocess.Popen([sys.executable, "-c", _SLEEP, f"--conf-file={tmp_path}/dnsmasq-1.conf"],
                          stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_a_process_with_our_configuration_is_ours(tmp_path: Path, impostor: subprocess.Popen[bytes]) -> None:
    (tmp_path / "dnsmasq.pid").write_text(f"{impostor.pid}\n")
    server = Dnsmasq(tmp_path, tmp_path / "namespace")
    assert server.alive()
    server.stop()
    assert impostor.wait(5) != 0


@pytest.mark.parametrize("text", ["", "nonsense", "999999999", pytest.param(str(os.getpid()), id="own")])
def test_a_stale_process_id_is_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "dnsmasq.pid").write_text(text)
    server = Dnsmasq(tmp_path, tmp_path / "namespace")
    assert not server.alive()
    began = time.monotonic()
    server.stop()
    server.reload()
    assert time.monotonic() - began < 1


def test_another_network_s_process_is_left_alone(tmp_path: Path, impostor: subprocess.Popen[bytes]) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "dnsmasq.pid").write_text(str(impostor.pid))
    server = Dnsmasq(other, other / "namespace")
    assert not server.alive()
    server.stop()
    assert impostor.poll() is None
