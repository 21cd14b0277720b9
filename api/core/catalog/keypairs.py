"""Key pairs: a user's public keys. Private keys are made on request by old clients and never kept."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib

import sqlalchemy as sa
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import exc, orm

from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import KeyPair, User
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare
from hostler.resources import quota

_POLICY = "os_compute_api:os-keypairs:"
_RSA_BITS = 2048
KEY_PAIR = declare(KeyPair, key="name")


@dataclasses.dataclass(frozen=True)
class NewKeyPair:
    """A key pair just written, and its private half when we made it."""

    row: KeyPair
    private_key: str | None


def list_keypairs(services: Services, context: RequestContext, user_id: str, query: Query) -> Page:
    """Return a page of a user's key pairs by name; raises Invalid for an unknown marker."""
    services.policy.check(context, _POLICY + "index", {"user_id": user_id})
    with services.db.reading() as session:
        return read_page(session, KEY_PAIR, query, [KeyPair.user_id == user_id])


def show(services: Services, context: RequestContext, user_id: str, name: str) -> KeyPair:
    """Return one key pair; raises NotFound."""
    services.policy.check(context, _POLICY + "show", {"user_id": user_id})
    with services.db.reading() as session:
        return _find(session, user_id, name)


def create(services: Services, context: RequestContext, *, user_id: str, name: str, kind: str,
           public_key: str | None) -> NewKeyPair:
    """Import `public_key`, or make an RSA pair when it is None; raises NotUnique, Forbidden over quota, Invalid."""
    services.policy.check(context, _POLICY + "create", {"user_id": user_id})
    private_key = None
    if public_key is None:
        if kind != "ssh":
            raise errors.NotImplementedHere(feature="Generating an x509 key pair")
        private_key, public_key = generate(name)
    # Kept to the byte: clients compare what they sent with what they read, also its last newline.
    fingerprint = fingerprint_of(kind, public_key.strip())

    def work(session: orm.Session) -> KeyPair:
        if session.get(User, user_id) is None:
            raise errors.Invalid(reason=f"User {user_id} could not be found.")
        services.db.lock_row(session, User, User.id == user_id)
        count, last = session.execute(sa.select(sa.func.count(), sa.func.coalesce(sa.func.max(KeyPair.number), 0))
                                      .where(KeyPair.user_id == user_id)).one()
        limit = quota.limits(session, services.conf, context.project_id or "")["key_pairs"]
        if limit != quota.UNLIMITED and count >= limit:
            raise errors.Forbidden("Quota exceeded, too many key pairs.", action=_POLICY + "create")
        row = KeyPair(user_id=user_id, name=name, number=last + 1, type=kind, public_key=public_key,
                      fingerprint=fingerprint)
        session.add(row)
        session.flush()
        return row

    try:
        return NewKeyPair(services.db.write(work), private_key)
    except exc.IntegrityError as error:
        raise errors.NotUnique(f"Key pair '{name}' already exists.", resource="keypair", id=name) from error


def delete(services: Services, context: RequestContext, user_id: str, name: str) -> None:
    """Remove a key pair; raises NotFound."""
    services.policy.check(context, _POLICY + "delete", {"user_id": user_id})
    services.db.write(lambda session: session.delete(_find(session, user_id, name)))


def _find(session: orm.Session, user_id: str, name: str) -> KeyPair:
    row = session.scalars(sa.select(KeyPair).where(KeyPair.user_id == user_id, KeyPair.name == name)).one_or_none()
    if row is None:
        raise errors.NotFound(f"Keypair {name} not found for user {user_id}", resource="keypair", id=name)
    return row


def generate(comment: str) -> tuple[str, str]:
    """Return (private key PEM, public key line) of a fresh RSA pair."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} Generated-by-Hostler {comment}".strip()


def fingerprint_of(kind: str, public_key: str) -> str:
    """Return a public key's fingerprint as users know it (MD5 for ssh, SHA-1 for x509); raises Invalid."""
    digest = _certificate_digest(public_key) if kind == "x509" else _ssh_digest(public_key)
    return ":".join(f"{byte:02x}" for byte in digest)


def _ssh_digest(public_key: str) -> bytes:
    words = public_key.split(None, 2)
    try:
        if "\n" in public_key or len(words) < 2:
            raise ValueError
        blob = base64.b64decode(words[1], validate=True)
        length = int.from_bytes(blob[:4], "big")
        # The blob names its own algorithm; a line that says another is damaged.
        if blob[4:4 + length].decode("ascii") != words[0] or len(blob) <= 4 + length:
            raise ValueError
        if words[0].startswith(("ssh-rsa", "ecdsa-", "ssh-ed25519")):
            serialization.load_ssh_public_key(f"{words[0]} {words[1]}".encode())
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise errors.Invalid(reason="Keypair data is invalid: failed to generate fingerprint") from None
    return hashlib.md5(blob, usedforsecurity=False).digest()


def _certificate_digest(certificate: str) -> bytes:
    try:
        return x509.load_pem_x509_certificate(certificate.encode()).fingerprint(hashes.SHA1())
    except ValueError:
        raise errors.Invalid(reason="Keypair data is invalid: failed to generate X509 fingerprint") from None
