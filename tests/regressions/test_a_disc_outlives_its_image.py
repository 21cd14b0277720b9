"""A server that ran from a disc (an image of format iso) got it as a writable disk at its next start once the image was
deleted, and as large as its flavor's disk when it moved: only the image said that it was a disc."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from compute import diskheader
from compute.diskfile import DiskFiles
from compute.layout import Layout
from hostler.images.cache import ImageCache
from hostler.images.store import ImageStore
from hostler.resources.server.records import server_spec
from hostler.resources.server.specs import ServerSpec
from tests.harness.client import Client
from tests.harness.discs import iso_disc
from tests.harness.inprocess import Cloud


def _spec(cloud: Cloud, server_id: str) -> ServerSpec:
    with cloud.db.reading() as session:
        return ServerSpec.from_wire(server_spec(session, cloud.conf, ImageStore(cloud.conf), server_id).to_wire())


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
@pytest.mark.parametrize("lost", ["deleted", "deactivated"])
def test_it_is_still_a_disc(cloud: Cloud, client: Client, tmp_path: Path, lost: str) -> None:
    image = client.make_image(data=iso_disc(), disk_format="iso")
    server_id = client.create_server(image, "live")
    client.wait_server(server_id, "ACTIVE")
    layout = Layout(tmp_path)
    layout.prepare()
    layout.server(server_id).mkdir()
    before = _spec(cloud, server_id)
    assert before.image is not None
    base = ImageCache(layout.images, max_bytes=0, min_age_s=0).fetch(before.image)
    made = DiskFiles(layout).ensure(before, base)
    if lost == "deleted":
        client.delete(f"/image/v2/images/{image}").raise_for_status()
    else:
        client.post(f"/image/v2/images/{image}/actions/deactivate", {}).raise_for_status()
    after = _spec(cloud, server_id)
    assert after.image is None
    disks = DiskFiles(layout).ensure(after, None)
    assert disks == made and (disks[0].cdrom, disks[0].readonly) == (True, True)
    DiskFiles(layout).adapt(after, layout.server(server_id), None)
    assert diskheader.size_of(disks[0]) == len(iso_disc())


def test_others_are_none(cloud: Cloud, client: Client, image: str) -> None:
    server_id = client.create_server(image, "disk")
    client.wait_server(server_id, "ACTIVE")
    assert not _spec(cloud, server_id).on_disc
