"""The zone of a new volume, and which zones are known."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from api.core.volume import availability_zones as volume_zones
from hostler import clock, errors, ids
from hostler.db.models import VolumeNode, Zone
from tests.harness.volume_core import Cloud, build


@pytest.fixture
def options() -> dict[str, object]:
    """Configuration, to be overridden by a test's own `parametrize`."""
    return {}


@pytest.fixture
def cloud(tmp_path: Path, options: dict[str, object]) -> Iterator[Cloud]:
    """A cloud with these options; its one node is in zone nova."""
    made = build(tmp_path, {f"volume.{name}": value for name, value in options.items()})
    yield made
    made.services.db.dispose()


def _add_zone(cloud: Cloud, name: str, *, enabled: bool = True) -> None:
    zone = Zone(id=ids.new_id(), name=name)
    cloud.add(zone)
    cloud.add(VolumeNode(id=ids.new_id(), name=f"node-{name}", zone_id=zone.id, enabled=enabled,
                         last_seen_at=clock.utcnow()))


def _zone(cloud: Cloud, wanted: str | None = None, **sources: Any) -> str:
    with cloud.services.db.reading() as session:
        return volume_zones.zone_for_new_volume(cloud.services, session, wanted, **sources)


FALLBACK = {"allow_availability_zone_fallback": True, "default_availability_zone": "main"}


@pytest.mark.contract("V-AZ")
@pytest.mark.parametrize("options", [{"default_availability_zone": "main", "storage_availability_zone": "store"}])
def test_the_order_in_which_a_zone_is_looked_for(cloud: Cloud) -> None:
    for name in ("asked", "snapshots", "volumes"):
        _add_zone(cloud, name)
    assert _zone(cloud, "asked", source_zone="volumes") == "asked"
    assert _zone(cloud, None, source_zone="snapshots") == "snapshots"
    assert _zone(cloud, None, source_zone="volumes") == "volumes"
    assert _zone(cloud) == "main"


@pytest.mark.contract("V-AZ")
@pytest.mark.parametrize("options", [{"storage_availability_zone": "store"}])
def test_without_a_default_it_is_where_storage_is(cloud: Cloud) -> None:
    assert _zone(cloud) == "store"


@pytest.mark.contract("V-AZ")
def test_a_volume_goes_where_its_source_is(cloud: Cloud) -> None:
    _add_zone(cloud, "north")
    volume = cloud.ready(availability_zone="north")
    assert cloud.create(size=None, source_volid=volume)["availability_zone"] == "north"
    assert cloud.create(size=None, snapshot_id=cloud.snapshot(volume))["availability_zone"] == "north"
    # The reference's default (cloned_volume_same_az); no back end of another zone has the source.
    assert "same availability zone as the source volume" in cloud.refused(
        "POST", "/volumes", {"volume": {"source_volid": volume, "availability_zone": "nova"}}, status=400)


@pytest.mark.contract("V-AZ")
def test_an_unknown_zone_is_refused_without_fallback(cloud: Cloud) -> None:
    message = cloud.refused("POST", "/volumes", {"volume": {"size": 1, "availability_zone": "ag9"}}, status=400)
    assert message == "Availability zone 'ag9' is invalid."
    with pytest.raises(errors.Invalid, match=r"^Availability zone 'ag9' is invalid\.$"):
        _zone(cloud, "ag9")


@pytest.mark.contract("V-AZ")
@pytest.mark.parametrize("options", [FALLBACK])
def test_with_fallback_the_default_is_used_and_a_warning_names_both(cloud: Cloud,
                                                                   caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "api.core.volume.availability_zones"):
        assert cloud.create(availability_zone="ag9")["availability_zone"] == "main"
    [record] = [record for record in caplog.records if record.name == "api.core.volume.availability_zones"]
    assert "'ag9'" in record.getMessage() and "'main'" in record.getMessage()


@pytest.mark.contract("V-AZ")
@pytest.mark.parametrize("options", [{"default_availability_zone": "main", "storage_availability_zone": "store"}])
def test_the_configured_zones_are_known_even_without_a_service(cloud: Cloud) -> None:
    assert _zone(cloud, "main") == "main" and _zone(cloud, "store") == "store"
    with cloud.services.db.reading() as session:
        assert volume_zones.list_availability_zones(cloud.services, session) == {
            "main": True, "store": True, "nova": True}


@pytest.mark.contract("V-AZ")
def test_a_type_may_be_usable_in_some_zones_only(cloud: Cloud) -> None:
    _add_zone(cloud, "north")
    cloud.volume_type("northern", extra_specs={volume_zones.TYPE_ZONES: "north, south"})
    cloud.volume_type("lost", extra_specs={volume_zones.TYPE_ZONES: "nowhere"})
    assert cloud.create(volume_type="northern")["availability_zone"] == "north"
    cloud.refused("POST", "/volumes", {"volume": {"size": 1, "volume_type": "northern", "availability_zone": "nova"}},
                  status=400)
    message = cloud.refused("POST", "/volumes", {"volume": {"size": 1, "volume_type": "lost"}}, status=400)
    assert "nowhere" in message


def _statements(cloud: Cloud) -> list[str]:
    seen: list[str] = []
    event.listen(cloud.services.db.engine, "before_cursor_execute",
                 lambda _connection, _cursor, statement, *_rest: seen.append(statement))
    return seen


@pytest.mark.contract("V-AZCACHE")
def test_zones_are_remembered_and_an_unknown_one_is_looked_for_at_once(cloud: Cloud) -> None:
    seen = _statements(cloud)
    assert _zone(cloud, "nova") == "nova"
    assert len(seen) == 1
    assert _zone(cloud, "nova") == "nova"
    assert len(seen) == 1  # remembered
    _add_zone(cloud, "fresh")
    del seen[:]
    assert _zone(cloud, "fresh") == "fresh"
    assert len(seen) == 1  # looked again, though what was remembered is young
    assert _zone(cloud, "fresh") == "fresh"
    assert len(seen) == 1
    with pytest.raises(errors.Invalid):
        _zone(cloud, "nowhere")
    assert len(seen) == 2


@pytest.mark.contract("V-AZCACHE")
def test_listing_may_use_what_is_remembered(cloud: Cloud) -> None:
    with cloud.services.db.reading() as session:
        before = volume_zones.list_availability_zones(cloud.services, session, enable_cache=True)
        _add_zone(cloud, "fresh", enabled=False)
        assert volume_zones.list_availability_zones(cloud.services, session, enable_cache=True) == before
        assert volume_zones.list_availability_zones(cloud.services, session) == {**before, "fresh": False}
        assert volume_zones.list_availability_zones(cloud.services, session, enable_cache=True)["fresh"] is False


@pytest.mark.contract("V-AZCACHE")
@pytest.mark.parametrize("options", [{"zone_cache_seconds": 0}])
def test_the_memory_can_be_switched_off(cloud: Cloud) -> None:
    with cloud.services.db.reading() as session:
        volume_zones.list_availability_zones(cloud.services, session, enable_cache=True)
        session.execute(sa.select(1))
        _add_zone(cloud, "fresh")
        assert "fresh" in volume_zones.list_availability_zones(cloud.services, session, enable_cache=True)
