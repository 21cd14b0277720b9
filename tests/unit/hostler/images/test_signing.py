"""Signed URLs to which an agent sends an image's content."""

from __future__ import annotations

import time
import urllib.parse
from pathlib import Path

import pytest
from oslo_config import cfg

from hostler import conf as hostler_conf
from hostler import errors, ids
from hostler.identity import keys
from hostler.images.signing import UrlSigner
from hostler.images.spec import upload_url


@pytest.fixture
def conf(tmp_path: Path) -> cfg.ConfigOpts:
    """A cloud with keys."""
    made = hostler_conf.load([], config_files=[], overrides={"state_path": str(tmp_path),
                                                             "api.public_url": "https://cloud.example"})
    keys.directory_of(made).mkdir(parents=True)
    keys.ensure(keys.directory_of(made))
    return made


def test_the_url_names_the_image_and_proves_who_made_it(conf: cfg.ConfigOpts) -> None:
    image_id = ids.new_id()
    url = urllib.parse.urlsplit(upload_url(conf, image_id))
    assert (url.netloc, url.path) == ("cloud.example", f"/image/v2/uploads/{image_id}")
    query = dict(urllib.parse.parse_qsl(url.query))
    expires_at = int(query["expires"])
    assert expires_at > time.time() + conf.image.upload_ttl - 60
    signer = UrlSigner(conf)
    signer.verify_upload(image_id, expires_at, query["signature"])
    for wrong in ((ids.new_id(), expires_at), (image_id, expires_at + 1)):
        with pytest.raises(errors.Forbidden):
            signer.verify_upload(*wrong, query["signature"])


def test_an_expired_url_and_one_to_download_are_refused(conf: cfg.ConfigOpts) -> None:
    signer, past = UrlSigner(conf), int(time.time()) - 1
    for path in (signer.sign_upload("a", past), signer.sign("a", past + 100)):
        query = dict(urllib.parse.parse_qsl(path.partition("?")[2]))
        with pytest.raises(errors.Forbidden):
            signer.verify_upload("a", int(query["expires"]), query["signature"])
