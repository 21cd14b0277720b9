"""What an agent is told about an image: where its bytes are and what they are."""

from __future__ import annotations

import logging
import time

from oslo_config import cfg

from hostler import errors
from hostler.db.models import Image
from hostler.images.signing import UrlSigner
from hostler.images.store import ImageStore
from hostler.resources.server.specs import ImageSpec

LOG = logging.getLogger(__name__)


def image_spec(image: Image, conf: cfg.ConfigOpts, store: ImageStore) -> ImageSpec:
    """Return the spec of an active image; its URL is valid for `image.url_ttl` seconds from now.

    Raises InvalidState for an image without data. Without keys to sign with there is no URL: agents that share the
    store's directory work all the same.
    """
    if image.status != "active" or image.sha256 is None or image.size_bytes is None:
        raise errors.InvalidState(action="boot from", resource="image", id=image.id, attribute="status",
                                  state=image.status)
    url: str | None = None
    try:
        url = api_url(conf) + store.signed_url(image.sha256, int(time.time()) + conf.image.url_ttl)
    except errors.Unavailable:
        LOG.warning("image %s: no key to sign its URL with; only agents that share the store can fetch it", image.id)
    return ImageSpec(
        id=image.id, sha256=image.sha256, size_bytes=image.size_bytes,
        virtual_size_bytes=image.virtual_size_bytes or image.size_bytes, disk_format=image.disk_format or "raw",
        path=str(store.path_of(image.sha256)), url=url, properties=dict(image.properties or {}))


def upload_url(conf: cfg.ConfigOpts, image_id: str) -> str:
    """Return the URL an agent may PUT the content of a waiting image to, for `image.upload_ttl` seconds.

    Raises Unavailable when the cloud has no keys to sign with.
    """
    return api_url(conf) + UrlSigner(conf).sign_upload(image_id, int(time.time()) + conf.image.upload_ttl)


def api_url(conf: cfg.ConfigOpts) -> str:
    """Return the base URL of the api: configured, else this node's."""
    scheme = "https" if conf.api.tls_certificate else "http"
    return str(conf.api.public_url).rstrip("/") or f"{scheme}://{conf.host}:{conf.api.bind_port}"
