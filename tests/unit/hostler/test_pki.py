"""The authority for volumes over NBD: what it makes, keeps, renews and refuses; QEMU itself takes the result."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from hostler import clock, errors, pki
from hostler.cmd import manage, running

FILES = ["ca-cert.pem", "client-cert.pem", "client-key.pem", "server-cert.pem", "server-key.pem"]
NOW = clock.utcnow()


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    pki.init_authority(tmp_path / "ca", NOW)
    return tmp_path / "ca"


def _contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_machine_gets_the_files_qemu_looks_for(authority: Path, tmp_path: Path) -> None:
    out = tmp_path / "host1"
    assert pki.issue(authority, "host1", ["10.0.0.5", "storage.example.org"], out, NOW)
    assert sorted(_contents(out)) == FILES
    assert {path.stat().st_mode & 0o777 for path in out.glob("*-key.pem")} == {0o600}
    for role in ("server", "client"):
        certificate = x509.load_pem_x509_certificate((out / f"{role}-cert.pem").read_bytes())
        assert certificate.subject.rfc4514_string() == "CN=host1"
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["host1", "storage.example.org"]
        assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.5"]
    assert pki.read_common_name(out / "server-cert.pem") == "host1"


def test_asked_again_it_keeps_what_is_good(authority: Path, tmp_path: Path) -> None:
    out = tmp_path / "host1"
    pki.issue(authority, "host1", ["10.0.0.5"], out, NOW)
    before = _contents(out), _contents(authority)
    assert not pki.init_authority(authority, NOW)
    assert not pki.issue(authority, "host1", ["10.0.0.5"], out, NOW)
    assert (_contents(out), _contents(authority)) == before


@pytest.mark.parametrize("spoil", ["address", "old", "no key", "other key", "no ca"])
def test_what_is_not_good_any_more_is_made_anew(authority: Path, tmp_path: Path, spoil: str) -> None:
    out, other = tmp_path / "host1", tmp_path / "host2"
    pki.issue(authority, "host1", ["10.0.0.5"], out, NOW)
    pki.issue(authority, "host2", [], other, NOW)
    now, addresses = NOW, ["10.0.0.5"]
    if spoil == "address":
        addresses = ["10.0.0.6"]
    elif spoil == "old":
        now = NOW + dt.timedelta(days=pki.HOST_DAYS - 10)
    elif spoil == "no key":
        (out / "client-key.pem").unlink()
    elif spoil == "other key":
        shutil.copy(other / "server-key.pem", out / "server-key.pem")
    else:
        (out / "ca-cert.pem").unlink()
    assert pki.issue(authority, "host1", addresses, out, now)
    assert not pki.issue(authority, "host1", addresses, out, now)


def test_mistakes_are_told_and_change_nothing(authority: Path, tmp_path: Path) -> None:
    pki.issue(authority, "host1", [], tmp_path / "host1", NOW)
    pki.init_authority(tmp_path / "ca2", NOW)
    before = _contents(tmp_path / "host1"), _contents(authority)
    for text, call in {
        "make it first": lambda: pki.issue(tmp_path / "none", "host1", [], tmp_path / "x", NOW),
        "authority's own": lambda: pki.issue(authority, "host1", [], authority, NOW),
        "certificates of host1": lambda: pki.issue(authority, "host2", [], tmp_path / "host1", NOW),
        "another authority": lambda: pki.issue(tmp_path / "ca2", "host1", [], tmp_path / "host1", NOW),
        "cannot be a machine's name": lambda: pki.issue(authority, "host1,CN=host2", [], tmp_path / "x", NOW),
        "at most 64": lambda: pki.issue(authority, "h" * 65, [], tmp_path / "x", NOW),
        "neither an IP": lambda: pki.issue(authority, "host3", ["10.0.0.300"], tmp_path / "x", NOW),
        "ran out": lambda: pki.issue(authority, "host3", [], tmp_path / "x", NOW + dt.timedelta(days=4000)),
        "without ca-key.pem": lambda: pki.init_authority(tmp_path / "host1", NOW),
    }.items():
        with pytest.raises(errors.Invalid, match=text):
            call()
    assert (_contents(tmp_path / "host1"), _contents(authority)) == before
    assert not (tmp_path / "x").exists()


def test_certificates_end_with_their_authority(tmp_path: Path) -> None:
    pki.init_authority(tmp_path / "ca", NOW, days=10)
    pki.issue(tmp_path / "ca", "host1", [], tmp_path / "host1", NOW)
    assert pki.read_end(tmp_path / "host1/server-cert.pem") == pki.read_end(tmp_path / "ca/ca-cert.pem")
    assert not pki.issue(tmp_path / "ca", "host1", [], tmp_path / "host1", NOW)


@pytest.mark.skipif(shutil.which("qemu-nbd") is None, reason="qemu-nbd is not installed")
def test_qemu_takes_both_ends(authority: Path, tmp_path: Path) -> None:
    pki.issue(authority, "host1", [], tmp_path / "host1", NOW)
    for endpoint in ("server", "client"):
        # A listing of a server that is not there gets as far as the credentials' check.
        done = subprocess.run(["qemu-img", "info", "--object",
                               f"tls-creds-x509,id=t,dir={tmp_path / 'host1'},endpoint={endpoint}", "nofile"],
                              capture_output=True, text=True, check=False)
        assert "nofile" in done.stderr
        assert "tls" not in done.stderr.lower()
        assert "certificate" not in done.stderr.lower()


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(running, "set_up_logging", lambda *_: None)
    (tmp_path / "hostler.conf").touch()

    def type_in(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["hostler-manage", "--config-file", str(tmp_path / "hostler.conf"), *words])
        manage.main()
        return capsys.readouterr().out

    ca, out = str(tmp_path / "ca"), str(tmp_path / "host1")
    assert "Keep" in type_in("pki", "init", "--dir", ca)
    assert "kept: " in type_in("pki", "init", "--dir", ca)
    assert "made: certificates of host1" in type_in("pki", "issue", "--dir", ca, "--name", "host1", "--out", out,
                                                    "--address", "10.0.0.1", "--address", "10.0.0.2")
    with pytest.raises(SystemExit, match="hostler-manage: .*authority's own"):
        type_in("pki", "issue", "--dir", ca, "--name", "host1", "--out", ca)
    for days in ("0", "-1", "x", "999999999"):
        with pytest.raises(SystemExit):
            type_in("pki", "init", "--dir", ca, "--days", days)
