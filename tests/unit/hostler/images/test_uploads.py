"""Uploads in the database: one at a time, alive as long as its process, queued again afterwards."""

from __future__ import annotations

import datetime as dt
import time

import pytest
import sqlalchemy as sa
from oslo_config import cfg

from hostler import clock, errors
from hostler.db.engine import Database
from hostler.db.models import Image, Project
from hostler.images import uploads
from hostler.images.hashing import Content
from hostler.images.inspect import Inspection
from hostler.images.spec import image_spec
from hostler.images.store import ImageStore
from hostler.resources.server.specs import ImageSpec


def _image(db: Database, **values: object) -> Image:
    with db.reading() as session:
        project_id = session.scalar(sa.select(Project.id))
    image = Image(project_id=project_id, disk_format="raw", container_format="bare", **values)
    db.write(lambda session: session.add(image))
    return image


def _now(db: Database, image: Image) -> Image:
    with db.reading() as session:
        found = session.get(Image, image.id)
        assert found is not None
        return found


def _receive(db: Database, conf: cfg.ConfigOpts, store: ImageStore, image: Image, data: bytes) -> None:
    inspection = Inspection(image.id, "raw", "bare")
    with uploads.working(db, conf, image, "queued", "saving", action="upload"):
        store.receive(inspection.watch([data]),
                      lambda content: uploads.activate(db, image, "saving", content, inspection),
                      uploads.is_referenced(db))


def test_an_upload_makes_an_image_active(db: Database, store: ImageStore, conf: cfg.ConfigOpts) -> None:
    """Given a queued image, when its data is received, then its record tells the data and agents get its spec."""
    image = _image(db, properties={"hw_disk_bus": "virtio"})
    _receive(db, conf, store, image, b"1234")
    found = _now(db, image)
    assert (found.status, found.size_bytes, found.virtual_size_bytes) == ("active", 4, 4)

    spec = image_spec(found, conf, store)

    assert spec.path == str(store.path_of(found.sha256 or ""))
    assert spec.url is not None and spec.url.startswith(f"http://{conf.host}:8780/image/blobs/{found.sha256}?")
    assert ImageSpec.from_wire(spec.to_wire()) == spec
    conf.set_override("public_url", "https://cloud.example.org/", "api")
    assert (image_spec(found, conf, store).url or "").startswith("https://cloud.example.org/image/blobs/")


def test_an_image_without_data_has_no_spec(db: Database, store: ImageStore, conf: cfg.ConfigOpts) -> None:
    """Given a queued image, when its spec is asked for, then InvalidState is raised."""
    with pytest.raises(errors.InvalidState):
        image_spec(_image(db), conf, store)


def test_only_one_upload_runs(db: Database, conf: cfg.ConfigOpts) -> None:
    """Given an upload under way, when another starts, then it is refused and the first is not disturbed."""
    image = _image(db)
    with uploads.working(db, conf, image, "queued", "saving", action="upload"):
        with pytest.raises(errors.InvalidState), uploads.working(db, conf, image, "queued", "saving", action="upload"):
            pass
        assert _now(db, image).status == "saving"


def test_an_image_deleted_meanwhile_stays_deleted_and_its_data_goes(
        db: Database, conf: cfg.ConfigOpts, store: ImageStore) -> None:
    """Given an image deleted during its upload, when the data is complete, then there is a conflict and no file."""
    image = _image(db)
    inspection = Inspection(image.id, "raw", "bare")
    digest: list[str] = []

    def record(content: Content) -> None:
        digest.append(content.sha256)
        db.write(lambda session: session.execute(
            sa.update(Image).where(Image.id == image.id).values(deleted_at=clock.utcnow(), status="deleted")))
        uploads.activate(db, image, "saving", content, inspection)

    with pytest.raises(errors.Conflict), uploads.working(db, conf, image, "queued", "saving", action="upload"):
        store.receive(inspection.watch([b"x"]), record, uploads.is_referenced(db))
    assert _now(db, image).status == "deleted"
    assert not store.has(digest[0])


def test_data_inspected_for_another_format_is_refused(db: Database, conf: cfg.ConfigOpts, store: ImageStore) -> None:
    """Given a format changed after the inspection began, when the data is complete, then it is not taken."""
    image = _image(db)
    with pytest.raises(errors.Conflict), uploads.working(db, conf, image, "queued", "saving", action="upload"):
        db.write(lambda session: session.execute(
            sa.update(Image).where(Image.id == image.id).values(disk_format="qcow2")))
        inspection = Inspection(image.id, "raw", "bare")
        store.receive(inspection.watch([b"x"]),
                      lambda content: uploads.activate(db, image, "saving", content, inspection),
                      uploads.is_referenced(db))
    assert _now(db, image).status == "queued"


def test_activation_may_be_repeated(db: Database, conf: cfg.ConfigOpts, store: ImageStore) -> None:
    """Given a commit whose answer was lost, when it is tried again, then it finds its own work."""
    image = _image(db)
    inspection = Inspection(image.id, "raw", "bare")
    with uploads.working(db, conf, image, "queued", "saving", action="upload"):
        for _ in range(2):
            store.receive(inspection.watch([b"x"]),
                          lambda content: uploads.activate(db, image, "saving", content, inspection),
                          uploads.is_referenced(db))
    assert _now(db, image).status == "active"


def test_dead_uploads_are_healed_and_live_ones_are_not(db: Database, conf: cfg.ConfigOpts, store: ImageStore,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """Given images whose worker died, one that lives, and one that waits for its import, then the dead are healed."""
    old = clock.utcnow() - dt.timedelta(seconds=120)
    dead = [_image(db, status=status, updated_at=old) for status in ("saving", "importing", "uploading")]
    waiting = _image(db, status="uploading", updated_at=old)
    store.stage(waiting.id, [b"data"])
    alive = _image(db)
    monkeypatch.setattr(uploads, "TOUCH_INTERVAL_S", 0.02)
    with uploads.working(db, conf, alive, "queued", "saving", action="upload"):
        db.write(lambda session: session.execute(
            sa.update(Image).where(Image.id == alive.id).values(updated_at=old)))
        end = time.monotonic() + 10
        while _now(db, alive).updated_at == old and time.monotonic() < end:
            time.sleep(0.02)

        assert sorted(uploads.heal_interrupted_uploads(db, store)) == sorted(image.id for image in dead)

        assert _now(db, alive).status == "saving"
    assert {_now(db, image).status for image in dead} == {"queued"}
    assert _now(db, waiting).status == "uploading"
    assert uploads.is_staging(db)(waiting.id) and not uploads.is_staging(db)(dead[0].id)
    assert uploads.heal_interrupted_uploads(db, store) == []
