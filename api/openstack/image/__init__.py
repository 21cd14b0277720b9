"""The Image API v2 below /image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from api.face import Face
from api.openstack.image import data, faults, images, members, metadefs, schemas, versions
from api.policies.metadefs import OF_KIND
from api.services import Services


def routes(services: Services) -> Iterator[tuple[str, Any]]:
    """Yield the map of the face."""
    yield "", versions.Versions(services, 300)
    yield "/versions", versions.Versions(services, 200)
    yield "/v2", versions.Version(services)
    yield "/v2/schemas/{name}", schemas.Schema()
    yield "/v2/info/import", data.ImportInfo()
    yield "/v2/info/stores", data.StoresInfo()
    yield "/v2/images", images.Images(services)
    yield "/v2/images/{image_id}", images.Image(services)
    yield "/v2/images/{image_id}/file", data.File(services)
    yield "/v2/images/{image_id}/stage", data.Stage(services)
    yield "/v2/images/{image_id}/import", data.Import(services)
    yield "/v2/images/{image_id}/actions/{action}", images.Action(services)
    yield "/v2/images/{image_id}/tasks", images.Tasks(services)
    yield "/v2/images/{image_id}/tags/{tag}", images.Tag(services)
    yield "/v2/images/{image_id}/members", members.Members(services)
    yield "/v2/images/{image_id}/members/{member_id}", members.Member(services)
    yield "/v2/schemas/metadefs/{name}", metadefs.Schema()
    yield "/v2/metadefs/resource_types", metadefs.ResourceTypes(services)
    namespace = "/v2/metadefs/namespaces/{namespace}"
    yield "/v2/metadefs/namespaces", metadefs.Namespaces(services)
    yield namespace, metadefs.Namespace(services)
    for kind in OF_KIND:
        yield f"{namespace}/{kind}", metadefs.Items(services, kind)
    yield f"{namespace}/properties/{{name}}", metadefs.Item(services, "properties")
    yield f"{namespace}/objects/{{name}}", metadefs.Item(services, "objects")
    yield f"{namespace}/tags/{{name}}", metadefs.Tag(services, "tags")
    yield f"{namespace}/resource_types/{{name}}", metadefs.ResourceType(services)
    yield "/v2/uploads/{image_id}", data.AgentUpload(services)
    yield "/blobs/{sha256}", data.Blob(services)


FACE = Face(prefix="/image", routes=routes, render_error=faults.render, write_error=faults.write,
            statuses=faults.STATUSES, empty_id_is_404=True)
