"""Files between two hosts over TLS: to the named host alone, past broken connections, compared at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compute import transfer
from compute.layout import Layout
from compute.transfer import OFFER, TlsTransfer, sha256_of
from hostler import clock, conf, errors, ids, pki
from tests.harness.ports import free_port

SERVER = ids.new_id()
BASE = "base"
CONTENT = b"begin" + bytes(3 << 20) + b"end" * 1000


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One authority, three hosts."""
    directory = tmp_path_factory.mktemp("pki")
    pki.init_authority(directory / "authority", clock.utcnow())
    for name in ("source", "target", "stranger"):
        pki.issue(directory / "authority", name, ["127.0.0.1"], directory / name, clock.utcnow())
    return directory


@pytest.fixture
def make(tmp_path: Path, certificates: Path) -> Iterator[Callable[..., TlsTransfer]]:
    """A function that makes a host's transfer."""
    made: list[TlsTransfer] = []

    def host(name: str, **options: Any) -> TlsTransfer:
        values = {"tls_dir": str(certificates / name), "transfer_port": free_port(), **options}
        config = conf.load([], config_files=[], overrides={
            "host": name, "state_path": str(tmp_path / name), **{f"compute.{key}": one for key, one in values.items()}})
        layout = Layout(tmp_path / name)
        layout.aside(SERVER).mkdir(parents=True, exist_ok=True)
        made.append(TlsTransfer(config, layout))
        return made[-1]

    yield host
    for one in made:
        one.stop()


@pytest.fixture
def offer(tmp_path: Path, make: Callable[..., TlsTransfer]) -> dict[str, Any]:
    """What the source offers to the target, and serves."""
    source = make("source")
    aside = Layout(tmp_path / "source").aside(SERVER)
    (aside / "disk").write_bytes(CONTENT)
    (aside / "spec.json").write_text("secret")
    files = [{"name": "disk", "size": len(CONTENT), "sha256": sha256_of(aside / "disk")}]
    images = Layout(tmp_path / "source").images
    images.mkdir()
    for name in (BASE, f"{BASE}s"):
        (images / name).write_bytes(CONTENT)
    base = {"name": BASE, "size": len(CONTENT), "sha256": files[0]["sha256"]}
    (aside / OFFER).write_text(json.dumps({"to": "target", "files": files, "base": base}))
    source.start()
    return {**source.place(), "files": files, "base": base}


def _fetch(host: TlsTransfer, offer: dict[str, Any], path: Path, **changes: Any) -> None:
    host.fetch(offer, SERVER, {**offer["files"][0], **changes}, path, lambda: None)


def test_a_file_arrives_whole_with_its_holes(make: Callable[..., TlsTransfer], offer: dict[str, Any],
                                             tmp_path: Path) -> None:
    for _ in range(2):
        _fetch(make("target"), offer, tmp_path / "disk")
        assert (tmp_path / "disk").read_bytes() == CONTENT
    assert (tmp_path / "disk").stat().st_blocks * 512 < len(CONTENT)


def test_a_full_disk_is_told_at_once(make: Callable[..., TlsTransfer], offer: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "disk.part").symlink_to("/dev/full")
    with pytest.raises(errors.AgentError, match="No space left"):
        _fetch(make("target"), offer, tmp_path / "disk")


def test_what_came_before_a_broken_connection_is_kept(make: Callable[..., TlsTransfer], offer: dict[str, Any],
                                                      tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    fetch_rest = TlsTransfer._fetch_rest

    def breaking(self: TlsTransfer, offer: dict[str, Any], path: str, part: Path, have: int,
                 check: Callable[[], None]) -> None:
        asked.append(have)
        fetch_rest(self, offer, path, part, have, breaks if len(asked) == 1 else check)

    def breaks() -> None:
        raise ConnectionResetError("cut")

    monkeypatch.setattr(TlsTransfer, "_fetch_rest", breaking)
    monkeypatch.setattr(transfer, "PAUSE_S", (0.01, 0.01))
    _fetch(make("target"), offer, tmp_path / "disk")
    assert asked[0] == 0 and asked[1] >= 1 << 20
    assert (tmp_path / "disk").read_bytes() == CONTENT


def test_what_the_root_disk_builds_on_is_offered_too(make: Callable[..., TlsTransfer], offer: dict[str, Any],
                                                     tmp_path: Path) -> None:
    _fetch(make("target"), offer, tmp_path / "base", **offer["base"])
    assert (tmp_path / "base").read_bytes() == CONTENT


@pytest.mark.parametrize(("who", "changes"), [("stranger", {}), ("target", {"name": "spec.json"}),
                                              ("stranger", {"name": BASE}), ("target", {"name": f"{BASE}s"}),
                                              ("target", {"name": "../../../compute/agent.lock"})])
def test_nobody_gets_what_is_not_offered_to_it(make: Callable[..., TlsTransfer], offer: dict[str, Any],
                                               tmp_path: Path, who: str, changes: dict[str, str]) -> None:
    with pytest.raises(errors.AgentError, match="refuses"):
        _fetch(make(who), offer, tmp_path / "disk", **changes)


def test_another_host_behind_the_address_is_not_believed(make: Callable[..., TlsTransfer], offer: dict[str, Any],
                                                         tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PATIENCE_S", 0.0)
    with pytest.raises(errors.AgentError, match="sends nothing"):
        _fetch(make("target"), {**offer, "host": "stranger"}, tmp_path / "disk")


def test_a_wrong_checksum_is_no_file(make: Callable[..., TlsTransfer], offer: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(errors.AgentError, match="wrong checksum"):
        _fetch(make("target"), offer, tmp_path / "disk", sha256="0" * 64)
    assert not list(tmp_path.glob("disk*"))


def test_a_host_without_certificates_says_so(make: Callable[..., TlsTransfer], offer: dict[str, Any],
                                             tmp_path: Path) -> None:
    with pytest.raises(errors.AgentError, match="tls_dir"):
        _fetch(make("target", tls_dir=None), offer, tmp_path / "disk")
    with pytest.raises(errors.AgentError, match="has no ca-cert"):
        make("source", tls_dir=str(tmp_path)).start()


def test_a_host_copies_its_own_files(make: Callable[..., TlsTransfer], offer: dict[str, Any], tmp_path: Path) -> None:
    _fetch(make("source", tls_dir=None), offer, tmp_path / "disk")
    assert (tmp_path / "disk").read_bytes() == CONTENT
