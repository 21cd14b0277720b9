"""Members could filter lists of volumes, snapshots and backups by more than the reference's defaults allow
(`resource_filters.json`), and so find out what it keeps to administrators, such as on which back end a volume is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import volume_core
from tests.harness.volume_core import Cloud

# What the reference ships as etc/cinder/resource_filters.json.
DEFAULTS = {
    "volumes": ("name", "status", "metadata", "bootable", "migration_status", "availability_zone", "group_id", "size",
                "created_at", "updated_at", "consumes_quota"),
    "backups": ("name", "status", "volume_id"),
    "snapshots": ("name", "status", "volume_id", "metadata", "availability_zone", "consumes_quota"),
    "attachments": ("volume_id", "status", "instance_id", "attach_status"),
    "types": ("is_public", "extra_specs"),
}
REFUSED = {
    "volumes": ("host", "name~", "display_name", "user_id", "id", "snapshot_id", "image_id"),
    "backups": ("name~", "parent_id", "container"), "snapshots": ("name~", "status~"), "types": ("name", "description"),
}
VALUES = {"metadata": "{'a': 'b'}", "extra_specs": "{'a': 'b'}", "size": "1", "created_at": "gt:2020-01-01",
          "updated_at": "gt:2020-01-01", "bootable": "true", "consumes_quota": "true", "is_public": "true"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The Block Storage API alone."""
    made = volume_core.build(tmp_path_factory.mktemp("filters"))
    yield made
    made.services.db.dispose()


@pytest.mark.parametrize(("noun", "name"), [(noun, name) for noun, names in DEFAULTS.items() for name in names])
def test_the_published_filters_are_everybodys(cloud: Cloud, noun: str, name: str) -> None:
    assert cloud.call("GET", f"/{noun}?{name}={VALUES.get(name, 'x')}").status_code == 200


@pytest.mark.parametrize(("noun", "name"), [(noun, name) for noun, names in REFUSED.items() for name in names])
def test_others_are_the_administrators(cloud: Cloud, noun: str, name: str) -> None:
    assert name in cloud.refused("GET", f"/{noun}?{name}=x", status=400)
    assert cloud.call("GET", f"/{noun}?{name}=x", token="admin").status_code == 200
    assert cloud.call("GET", f"/{noun}?{name}=x", version="3.30").status_code == 200
