"""All faces' resources share one base, and what the published APIs call things stays in the faces."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import api
from api.openstack.resource import Resource
from api.service import FACES
from tests.harness.compute_rest import build

_ROOT = Path(api.__file__).parents[1]
# Microversions, and messages that name one.
_WORDS = re.compile(r"\bmicroversion|\bAPI version [0-9]|\bsince [23]\.[0-9]", re.IGNORECASE)


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.prefix)
def test_every_resource_that_knows_the_services_has_the_base(face: Any, tmp_path: Path) -> None:
    cloud = build(tmp_path)
    for path, resource in face.routes(cloud.services):
        known = any(value is cloud.services for value in vars(resource).values())
        assert isinstance(resource, Resource) or not known, f"{path}: {type(resource)}"
    cloud.services.db.dispose()


def test_core_and_shared_ground_name_no_version_of_a_published_api() -> None:
    found = [f"{path.relative_to(_ROOT)}: {line.strip()}" for part in ("api/core", "hostler")
             for path in sorted((_ROOT / part).rglob("*.py")) for line in path.read_text().splitlines()
             if _WORDS.search(line)]
    assert not found, "\n".join(found)
