"""A small certificate authority for the cloud's own machines: volumes over NBD, broker, database, api.

One directory is the authority (`ca-cert.pem`, `ca-key.pem`; it stays with the operator), one directory per machine
holds what that machine needs, under the names QEMU looks for: `ca-cert.pem`, `server-cert.pem`, `server-key.pem`,
`client-cert.pem`, `client-key.pem`. The subject is the machine's name in the cloud and nothing else (`CN=name`),
because QEMU compares the whole subject with the one host that an export is for.

Everything may be repeated: valid files are kept, those about to expire are replaced.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hostler import errors
from hostler.agent.files import write_atomically

CA_CERT, CA_KEY = "ca-cert.pem", "ca-key.pem"
AUTHORITY_DAYS = 3650
HOST_DAYS = 825
RENEW_DAYS = 30  # certificates that expire sooner are replaced when asked for
_ROLES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
# Clocks of machines differ a little.
_BACKDATED = dt.timedelta(hours=1)


def check_name(name: str) -> str:
    """Return `name` when a certificate can carry it; raises Invalid otherwise."""
    if not _NAME.fullmatch(name):
        raise errors.Invalid(reason=f"'{name}' cannot be a machine's name: letters, digits, '.', '_' and '-', at most "
                                    "64 of them.")
    return name


def init_authority(directory: Path, now: dt.datetime, days: int = AUTHORITY_DAYS) -> bool:
    """Make an authority in `directory`; False when it is there already. Raises Invalid when only half of it is."""
    cert_path, key_path = directory / CA_CERT, directory / CA_KEY
    if cert_path.exists() and key_path.exists():
        _load_authority(directory, now)
        return False
    if cert_path.exists():
        raise errors.Invalid(reason=f"{directory} holds {CA_CERT} without {CA_KEY}: it is a machine's directory or the "
                                    "authority's key was moved away. Name another directory, or put the key back.")
    _make_directory(directory)
    # A key without its certificate is what an interrupted try leaves; nothing was signed with it yet.
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Hostler storage CA")])
    certificate = (
        _start(subject, subject, key, now, now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256()))
    _write_key(key_path, key)
    _write_certificate(cert_path, certificate)
    return True


def issue(directory: Path, name: str, addresses: Sequence[str], out: Path, now: dt.datetime,
          days: int = HOST_DAYS) -> bool:
    """Write the certificates of machine `name` into `out`, signed by the authority in `directory`.

    `addresses` are IP addresses or names by which the machine is reached besides its own name. False when `out` holds
    good ones already. Raises Invalid for what would be a mistake: another machine's directory, the authority's own.
    """
    check_name(name)
    names = _alternative_names(name, addresses)
    authority, key = _load_authority(directory, now)
    _refuse_foreign(out, directory, name, authority)
    if all(_is_good(out, role, authority, names, now) for role in _ROLES):
        return False
    _make_directory(out)
    last = min(now + dt.timedelta(days=days), _end(authority))
    for role, purpose in _ROLES.items():
        own = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _start(authority.subject, _subject(name), own, now, last)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
                           critical=False)
            .sign(key, hashes.SHA256()))
        _write_key(out / f"{role}-key.pem", own)
        _write_certificate(out / f"{role}-cert.pem", certificate)
    _write_certificate(out / CA_CERT, authority)
    return True


def read_common_name(path: Path) -> str:
    """Return the common name of the certificate in a file; raises Invalid when there is none to read."""
    certificate = _read_certificate(path)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not names:
        raise errors.Invalid(reason=f"The certificate {path} has no common name.")
    return str(names[0].value)


def read_end(path: Path) -> dt.datetime:
    """Return when the certificate in a file runs out."""
    return _end(_read_certificate(path))


def _load_authority(directory: Path, now: dt.datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    if not (directory / CA_CERT).exists() or not (directory / CA_KEY).exists():
        raise errors.Invalid(reason=f"There is no certificate authority in {directory}; make it first: "
                                    f"hostler-manage pki init --dir {directory}")
    certificate = _read_certificate(directory / CA_CERT)
    key = _read_key(directory / CA_KEY)
    if key is None or certificate.public_key() != key.public_key():
        raise errors.Invalid(reason=f"{CA_KEY} in {directory} is not the key of its {CA_CERT}.")
    if _end(certificate) <= now:
        raise errors.Invalid(reason=f"The authority in {directory} ran out on {_end(certificate):%F}; "
                                    "make a new one in another directory and issue all machines' certificates again.")
    return certificate, key


def _refuse_foreign(out: Path, directory: Path, name: str, authority: x509.Certificate) -> None:
    if out.resolve() == directory.resolve() or (out / CA_KEY).exists():
        raise errors.Invalid(reason=f"{out} is the authority's own directory: its key must not go where a machine's "
                                    "certificates go. Name another with --out.")
    for role in _ROLES:
        path = out / f"{role}-cert.pem"
        if path.exists() and read_common_name(path) != name:
            raise errors.Invalid(reason=f"{out} holds the certificates of {read_common_name(path)}; name another "
                                        f"directory for {name}.")
    if (out / CA_CERT).exists() and _read_certificate(out / CA_CERT) != authority:
        raise errors.Invalid(reason=f"{out} holds certificates of another authority; remove them first if they are no "
                                    "longer wanted.")


def _is_good(out: Path, role: str, authority: x509.Certificate, names: list[x509.GeneralName],
             now: dt.datetime) -> bool:
    cert_path = out / f"{role}-cert.pem"
    key = _read_key(out / f"{role}-key.pem")
    if key is None or not cert_path.exists() or not (out / CA_CERT).exists():
        return False
    certificate = _read_certificate(cert_path)
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    has = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    # One that ends with its authority cannot be had any longer than that.
    last = min(now + dt.timedelta(days=RENEW_DAYS), _end(authority))
    return (certificate.public_key() == key.public_key() and list(has) == names
            and _end(certificate) >= last)


def _alternative_names(name: str, addresses: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    for address in addresses:
        found: x509.GeneralName
        try:
            found = x509.IPAddress(ipaddress.ip_address(address))
        except ValueError:
            if re.fullmatch(r"[\d.:]+", address) or not _NAME.fullmatch(address):
                raise errors.Invalid(reason=f"'{address}' is neither an IP address nor a host name.") from None
            found = x509.DNSName(address)
        if found not in names:
            names.append(found)
    return names


def _start(issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePrivateKey, now: dt.datetime,
           end: dt.datetime) -> x509.CertificateBuilder:
    return (x509.CertificateBuilder().issuer_name(issuer).subject_name(subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - _BACKDATED).not_valid_after(end))


def _end(certificate: x509.Certificate) -> dt.datetime:
    return certificate.not_valid_after_utc.replace(tzinfo=None)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    # libvirt before 10 serves no certificate without key encipherment, which elliptic curves have no use for.
    return x509.KeyUsage(digital_signature=not sign_certificates, key_cert_sign=sign_certificates,
                         crl_sign=sign_certificates, content_commitment=False, key_encipherment=not sign_certificates,
                         data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False)


def _make_directory(directory: Path) -> None:
    _on_disk(directory, lambda: directory.mkdir(mode=0o700, parents=True, exist_ok=True))


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())
    _on_disk(path, lambda: write_atomically(path, text, 0o600))


def _write_certificate(path: Path, certificate: x509.Certificate) -> None:
    text = certificate.public_bytes(serialization.Encoding.PEM)
    _on_disk(path, lambda: write_atomically(path, text, 0o644))


def _on_disk(path: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise errors.Invalid(reason=f"{path} cannot be written: {error.strerror}.") from error


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise errors.Invalid(reason=f"The certificate {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise errors.Invalid(reason=f"{path} holds no certificate.") from error


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    """Return the key in a file; None when it is not there."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errors.Invalid(reason=f"The key {path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError) as error:
        raise errors.Invalid(reason=f"{path} holds no key, or one with a password.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise errors.Invalid(reason=f"{path} holds a key of another kind than this program makes.")
    return key
