"""Where the Compute API's answers differed from the reference: found by a foreign test suite and its schemas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compute import console
from tests.harness.compute_rest import Cloud, build

IMAGE = "55555555-5555-4555-8555-555555555555"
DIAGNOSTICS: dict[str, Any] = {
    "state": "running", "cpu_details": [{"id": 0, "time": 17, "utilisation": None}],
    "disk_details": [{"read_bytes": 1, "read_requests": 2, "write_bytes": 3, "write_requests": 4, "errors_count": -1}],
    "nic_details": [{"mac_address": "fa:16:3e:00:00:01", "rx_octets": 1, "rx_packets": 2, "rx_errors": 3, "rx_drop": 4,
                     "rx_rate": None, "tx_octets": 5, "tx_packets": 6, "tx_errors": 7, "tx_drop": 8, "tx_rate": None}],
    "memory_details": {"maximum": 512, "used": 100}}


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[Cloud]:
    made = build(tmp_path)
    yield made
    made.services.db.dispose()


def test_disk_config_is_kept(rest: Cloud) -> None:
    """Given AUTO, MANUAL or nothing, when a server is made and changed, then it shows what was asked for."""
    for asked, shown in (("AUTO", "AUTO"), ("MANUAL", "MANUAL"), (None, "MANUAL")):
        more = {} if asked is None else {"OS-DCF:diskConfig": asked}
        made = rest.boot(f"one-{asked}", networks="none", **more)
        assert made["OS-DCF:diskConfig"] == shown
        path = f"/servers/{made['id']}"
        assert rest.get(path)["server"]["OS-DCF:diskConfig"] == shown
        other = "MANUAL" if shown == "AUTO" else "AUTO"
        changed = rest.call("PUT", path, {"server": {"OS-DCF:diskConfig": other}})
        assert changed.json["server"]["OS-DCF:diskConfig"] == other
        assert rest.get(path)["server"]["OS-DCF:diskConfig"] == other


def test_diagnostics_before_2_48_are_one_flat_map(rest: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(rest.compute), "get_diagnostics", lambda *_: DIAGNOSTICS)
    path = f"/servers/{rest.running(networks='none')}/diagnostics"
    old = rest.get(path, version="2.47", token="admin")
    assert old["cpu0_time"] == 17 and old["memory"] == 512 * 1024 and old["vda_write_req"] == 4
    assert old["vda_errors"] == -1 and old["fa:16:3e:00:00:01_tx_drop"] == 8
    assert all(isinstance(value, int) for value in old.values())
    assert rest.get(path, version="2.48", token="admin")["num_cpus"] == 1


@pytest.mark.parametrize("identity, status", [("-1", 404), ("+1", 404), ("9" * 30, 404), ("x", 400), ("²", 400)])
def test_ids_are_any_whole_number(rest: Cloud, identity: str, status: int) -> None:
    for method, path in (("GET", "/os-aggregates/{}"), ("DELETE", "/os-aggregates/{}"), ("DELETE", "/os-services/{}")):
        answer = rest.call(method, path.format(identity), token="admin", version="2.40")
        assert answer.status_code == status, (path, answer.text)
    assert rest.call("GET", f"/os-hypervisors/{identity}", token="admin", version="2.40").status_code == 404


def test_limits_that_bound_nothing_here_are_accepted(rest: Cloud) -> None:
    """Given a whole quota set as old clients send it, when it is put, then it is what they read back."""
    sent = {"cores": 7, "floating_ips": 5, "fixed_ips": 5, "injected_files": 5, "injected_file_path_bytes": 255}
    project = "11111111111141118111111111111111"
    answer = rest.call("PUT", f"/os-quota-sets/{project}", {"quota_set": sent}, token="admin", version="2.1")
    assert answer.status_code == 200, answer.text
    assert answer.json["quota_set"].items() >= sent.items()


def test_the_last_lines_are_counted_as_the_reference_does(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.write_text("".join(f"line {number}\n" for number in range(50)))
    assert len(console.read_tail(log, 10).split("\n")) == 10


@pytest.mark.parametrize("devices", [
    [("image", "local", 0), ("volume", "volume", 0)], [("volume", "volume", 0), ("blank", "volume", 0)],
    [("image", "local", 0), ("image", "local", 0)], [("volume", "volume", 1)]])
def test_one_disk_boots_first(rest: Cloud, devices: list[tuple[str, str, int]]) -> None:
    """Given an image and mappings of which two are the first to boot, or a gap, when one boots, then it is refused."""
    mappings = [{"source_type": source, "destination_type": destination, "boot_index": index, "volume_size": 1,
                 **({"uuid": IMAGE} if source != "blank" else {})} for source, destination, index in devices]
    answer = rest.call("POST", "/servers", {"server": {
        "name": "x", "flavorRef": "1", "imageRef": IMAGE, "networks": "none", "block_device_mapping_v2": mappings}})
    assert answer.status_code == 400 and "Block Device Mapping is Invalid" in answer.text, answer.text


def test_what_a_guest_cannot_have_is_refused_at_once(rest: Cloud) -> None:
    """Given a flavor that asks for pinned processors, when a server is made, then the answer names the extra spec."""
    specs = {"extra_specs": {"hw:cpu_policy": "dedicated"}}
    assert rest.call("POST", "/flavors/1/os-extra_specs", specs, token="admin").status_code == 200
    answer = rest.call("POST", "/servers", {"server": {
        "name": "x", "flavorRef": "1", "imageRef": IMAGE, "networks": "none"}})
    assert answer.status_code == 400 and "hw:cpu_policy" in answer.text
