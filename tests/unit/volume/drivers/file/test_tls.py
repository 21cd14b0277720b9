"""Whom an export lets in, tried with QEMU's own client."""

from __future__ import annotations

import datetime as dt
import re
import socket
import ssl
import struct
from pathlib import Path

import pytest

from hostler import clock, errors, ids, pki
from hostler.resources.volume.specs import ConnectionSpec
from tests.harness.file_backend import MakeDriver, a_host, a_volume, ignore, reach
from volume.drivers.file.driver import FileDriver


@pytest.fixture
def secure(make_driver: MakeDriver, certificates: Path) -> FileDriver:
    made = make_driver(volume_tls_dir=str(certificates / "node1"), volume_insecure_exports=False)
    made.open()
    return made


@pytest.fixture
def exported(secure: FileDriver) -> ConnectionSpec:
    volume = a_volume(1)
    secure.create_volume(volume, None, ignore)
    return secure.connect(volume, ids.new_id(), a_host(tls=True), False)


def test_the_host_it_is_for_gets_in(exported: ConnectionSpec, certificates: Path) -> None:
    assert exported.data["tls"] is True
    assert exported.data["tls_name"] == "node1"
    assert reach(exported, certificates / "host1") == ""


def test_nobody_else_gets_in(exported: ConnectionSpec, certificates: Path) -> None:
    assert "TLS" in reach(exported, certificates / "host2"), "another host of this cloud"
    assert "known issuer" in reach(exported, certificates / "foreign"), "another authority's client does not trust it"
    assert "TLS negotiation required" in reach(exported, None), "nobody at all"
    assert "does not match the hostname" in reach(exported, certificates / "host1", name="node2"), "the wrong node"


def lists(connection: ConnectionSpec, certificates: Path, own: Path) -> bool:
    """Tell whether a client that trusts the node gets an answer after TLS, with the certificate in `own`."""
    context = ssl.create_default_context(cafile=str(certificates / "ca/ca-cert.pem"))
    context.load_cert_chain(own / "client-cert.pem", own / "client-key.pem")
    with socket.create_connection((connection.data["host"], connection.data["port"]), timeout=10) as plain:
        plain.recv(18, socket.MSG_WAITALL)
        plain.sendall(struct.pack("!I8sII", 3, b"IHAVEOPT", 5, 0))  # NBD_OPT_STARTTLS
        assert struct.unpack("!QIII", plain.recv(20, socket.MSG_WAITALL))[2] == 1
        try:
            with context.wrap_socket(plain, server_hostname="node1") as secret:
                secret.sendall(struct.pack("!8sII", b"IHAVEOPT", 3, 0))  # NBD_OPT_LIST
                return secret.recv(1) != b""
        except OSError:
            return False


def test_the_node_itself_turns_them_away(exported: ConnectionSpec, certificates: Path) -> None:
    assert lists(exported, certificates, certificates / "host1")
    assert not lists(exported, certificates, certificates / "host2")
    assert not lists(exported, certificates, certificates / "foreign"), "the same name from another authority"


def test_other_peoples_subjects_can_be_told(make_driver: MakeDriver, certificates: Path) -> None:
    driver = make_driver(volume_tls_dir=str(certificates / "node1"), client_subject="O=Example,CN={host}")
    driver.open()
    volume = a_volume(1)
    driver.create_volume(volume, None, ignore)
    exported = driver.connect(volume, ids.new_id(), a_host(tls=True), False)
    assert "TLS" in reach(exported, certificates / "host1")


def test_without_certificates_the_operator_is_told_what_to_do(make_driver: MakeDriver, secure: FileDriver) -> None:
    volume = a_volume(1)
    secure.create_volume(volume, None, ignore)
    with pytest.raises(errors.AgentError) as caught:
        secure.connect(volume, ids.new_id(), a_host("host9"), False)
    assert re.search("Host host9 has no certificate.*hostler-manage pki issue", caught.value.details)
    assert "host9" not in str(caught.value)
    closed = make_driver(volume_insecure_exports=False)
    closed.open()
    with pytest.raises(errors.AgentError, match=r"must set \[volume\] tls_dir .* insecure_exports"):
        closed.connect(volume, ids.new_id(), a_host(tls=True), False)
    assert secure.find().connections == {}


def test_a_name_with_a_meaning_in_subjects_is_refused(secure: FileDriver) -> None:
    volume = a_volume(1)
    secure.create_volume(volume, None, ignore)
    for name in ("host1,CN=host2", "*", "host 1", ""):
        with pytest.raises(errors.AgentError, match="cannot be a machine's name"):
            secure.connect(volume, ids.new_id(), a_host(name, tls=True), False)
    assert secure.find().connections == {}


def test_where_both_are_allowed_a_certificate_is_used(make_driver: MakeDriver, certificates: Path) -> None:
    driver = make_driver(volume_tls_dir=str(certificates / "node1"), volume_insecure_exports=True)
    driver.open()
    for has_certificate in (True, False):
        volume = a_volume(1)
        driver.create_volume(volume, None, ignore)
        exported = driver.connect(volume, ids.new_id(), a_host(tls=has_certificate), False)
        assert exported.data["tls"] is has_certificate
        assert reach(exported, certificates / "host1" if has_certificate else None) == ""


def test_a_node_whose_certificate_ran_out_exports_nothing_new(make_driver: MakeDriver, certificates: Path,
                                                              tmp_path: Path) -> None:
    pki.init_authority(tmp_path / "old", clock.utcnow() - dt.timedelta(days=20))
    pki.issue(tmp_path / "old", "node1", [], tmp_path / "node1", clock.utcnow() - dt.timedelta(days=20), days=10)
    driver = make_driver(volume_tls_dir=str(tmp_path / "node1"))
    driver.open()
    volume = a_volume(1)
    driver.create_volume(volume, None, ignore)
    with pytest.raises(errors.AgentError, match=r"server-cert.pem ran out on .*hostler-manage pki") as told:
        driver.connect(volume, ids.new_id(), a_host(tls=True), False)
    assert str(tmp_path) not in str(told.value)
    assert driver.find().connections == {}
