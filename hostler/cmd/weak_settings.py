"""Settings of one machine that help an attacker, for `hostler-manage doctor`; nothing is changed.

Checked are the configuration the command was given, the files it names, and the configurations beside it.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import oslo_messaging
import sqlalchemy as sa
from oslo_config import cfg
from oslo_messaging._drivers.impl_rabbit import rabbit_opts

from hostler import clientfiles
from hostler.db.engine import Database
from hostler.db.models import User
from hostler.identity import admin_project, keys, passwords

# In lower case: used in documents (ours included) and by installers, and the first that attackers try.
KNOWN_PASSWORDS: Final = ("admin", "changeme", "guest", "hostler", "openstack", "password", "postgres", "rabbitmq",
                          "secret")
_SECRET = re.compile(r"^\s*(transport_url|connection)\s*=\s*\S+://[^\s/@]*:[^\s@]+@", re.MULTILINE)
_OTHERS = 0o007


@dataclasses.dataclass(frozen=True)
class Weakness:
    """`setting` is an option or a file; `problem` completes the sentence it begins."""

    setting: str
    problem: str
    remedy: str


def find(conf: cfg.ConfigOpts) -> list[Weakness]:
    """Return the weak settings of this machine."""
    return [*_of_broker(conf), *_of_database(conf), *_of_api(conf), *_of_consoles(conf), *_of_identity(conf),
            *_of_volumes(conf), *_of_migrations(conf), *_of_files(conf)]


def find_known_passwords(conf: cfg.ConfigOpts, database: Database) -> list[Weakness]:
    """Return the users called admin who have a well-known password."""
    with database.reading() as session:
        users = session.scalars(sa.select(User).where(User.name == "admin", User.enabled)).all()
    return [Weakness(f"user {user.name}", "has a well-known password", "openstack user password set")
            for user in users if any(passwords.password_matches(word, user.password_hash, conf.identity.password_rounds)
                                     for word in KNOWN_PASSWORDS)]


def _of_broker(conf: cfg.ConfigOpts) -> Iterator[Weakness]:
    url = oslo_messaging.TransportURL.parse(conf)
    if not url.hosts:  # in memory, or a single node that says nothing of a broker
        return
    conf.register_opts(rabbit_opts, group="oslo_messaging_rabbit")
    rabbit, name = conf.oslo_messaging_rabbit, "[DEFAULT] transport_url"
    users = {(host.username or "guest", host.password or "guest") for host in url.hosts}
    if any(user == "guest" for user, _ in users):
        yield Weakness(name, "uses the user guest", "hostler-manage bus-user add, then rabbitmqctl delete_user guest")
    elif any(_is_known(password, user) for user, password in users):
        yield Weakness(name, "has a well-known password", "hostler-manage bus-user rotate")
    if not rabbit.ssl and not all(_is_loopback(host.hostname) for host in url.hosts):
        yield Weakness(name, "reaches the broker without TLS", "[oslo_messaging_rabbit] ssl and ssl_ca_file")
    if rabbit.ssl and not rabbit.ssl_ca_file:
        yield Weakness("[oslo_messaging_rabbit] ssl", "takes any certificate", "set ssl_ca_file")
    if not conf.bus.verify_senders:
        yield Weakness("[bus] verify_senders", "is off, so that one agent's password commands all others",
                       "hostler-manage bus-user, see Broker users in the operator's guide")


def _of_database(conf: cfg.ConfigOpts) -> Iterator[Weakness]:
    name = "[database] connection"
    if not conf.database.connection or conf.database.connection.startswith("sqlite"):
        return
    url = sa.make_url(conf.database.connection)
    if _is_known(str(url.password or ""), url.username or ""):
        yield Weakness(name, "has a well-known password", "give the database's user another")
    if not _is_loopback(url.host) and str(url.query.get("sslmode")) not in ("verify-ca", "verify-full") \
            and "ssl_ca" not in url.query:
        yield Weakness(name, "reaches the database without TLS, or takes any certificate",
                       "sslmode=verify-full and sslrootcert (PostgreSQL), ssl_ca (MariaDB) in the URL")


def _of_api(conf: cfg.ConfigOpts) -> Iterator[Weakness]:
    if not _is_agent(conf) and not conf.api.tls_certificate and not _is_loopback(conf.api.bind_host):
        yield Weakness("[api] bind_host", f"{conf.api.bind_host} is served without TLS, passwords and tokens in clear",
                       "[api] tls_certificate, or listen on loopback behind a proxy with TLS")


def _of_consoles(conf: cfg.ConfigOpts) -> Iterator[Weakness]:
    if not _is_agent(conf) and not conf.console.tls_certificate and not _is_loopback(conf.console.novncproxy_host):
        yield Weakness("[console] novncproxy_host", f"{conf.console.novncproxy_host} is where the console proxy serves "
                       "without TLS, what is typed at consoles in clear",
                       "[console] tls_certificate, or listen on loopback behind a proxy with TLS")


def _of_identity(conf: cfg.ConfigOpts) -> Iterator[Weakness]:
    if not admin_project.is_configured(conf):
        yield Weakness("[identity] admin_project_name", "is empty, so that the admin of any project runs the cloud",
                       "name the administrators' project")
    if not conf.audit.enabled:
        yield Weakness("[audit] enabled", "is off, so that nobody can tell who did what", "leave it on")


def _of_volumes(conf: cfg.ConfigOpts) -> Iterator[Weakness]:
    if conf.volume.insecure_exports:
        yield Weakness("[volume] insecure_exports", "gives volumes to anyone who reaches their ports",
                       "hostler-manage pki, then [volume] tls_dir")


def _of_migrations(conf: cfg.ConfigOpts) -> Iterator[Weakness]:
    if conf.libvirt.live_migration_scheme == "tcp":
        yield Weakness("[libvirt] live_migration_scheme", "sends the memory of guests in clear, and who reaches "
                       "libvirt's port commands the host", "tls, see Live migration in the operator's guide")


def _of_files(conf: cfg.ConfigOpts) -> Iterator[Weakness]:
    for file in sorted(_configurations(conf)):
        if _is_open(file) and _SECRET.search(file.read_text(errors="replace")):
            yield _readable(file, "holds a password")
    state, directories = Path(conf.state_path), (conf.volume.tls_dir, conf.compute.tls_dir, conf.console.tls_dir)
    secret = {*keys.directory_of(conf).glob("[0-9]*"), state / clientfiles.CLOUDS, state / clientfiles.OPENRC,
              *(Path(name) for name in (conf.api.tls_private_key, conf.console.tls_private_key) if name),
              *(file for directory in directories if directory for file in Path(directory).glob("*-key.pem"))}
    for file in sorted(secret):
        if _is_open(file):
            yield _readable(file, "is a secret")
    for file in (state / "hostler.db", Path(conf.audit.file or state / "audit.log")):
        if _is_open(file):
            yield _readable(file, "tells of users and what they did,")


def _configurations(conf: cfg.ConfigOpts) -> set[Path]:
    """Return the configuration read, and what lies beside it: other services' files are no less secret."""
    read = [*map(Path, conf.config_file or ()),
            *(file for directory in conf.config_dir or () for file in Path(directory).glob("*.conf"))]
    beside = (file for place in {file.parent for file in read} for file in (*place.glob("*.conf"),
                                                                            *place.glob("*.conf.d/*.conf")))
    return {*read, *beside}


def _readable(file: Path, what: str) -> Weakness:
    return Weakness(str(file), f"{what} and is open to every user of the machine", f"chmod o= {file}")


def _is_open(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & _OTHERS)
    except OSError:
        return False


def _is_known(password: str, user: str) -> bool:
    return bool(password) and password.lower() in {*KNOWN_PASSWORDS, user.lower()}


def _is_loopback(host: str | None) -> bool:
    try:
        return host in (None, "", "localhost") or ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def _is_agent(conf: cfg.ConfigOpts) -> bool:
    """Return whether the configuration is an agent's: a broker and no database."""
    return bool(oslo_messaging.TransportURL.parse(conf).hosts) and not conf.database.connection
