"""Fills an empty database so that a cloud can be used: roles, an administrator, flavors, a volume type, a network.

Run by `hostler-manage bootstrap` and by the all-in-one; may be repeated at any time. It leaves what exists unchanged,
except for the administrator's password, which is set when one is given. The files written for clients
(`clouds.yaml`, `openrc`) are readable by their owner only; without the password they are not written.

>>> bootstrap(db, conf, admin_password=None, public_url="http://192.0.2.1:8780", out_dir=Path("/etc/hostler"))
"""

from __future__ import annotations

import dataclasses
import logging
import secrets
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import exc, orm

from hostler import clientfiles, clock, starter_network
from hostler.clientfiles import Login
from hostler.conf.volume import DEFAULT_TYPE
from hostler.db.engine import Database
from hostler.db.models import Domain, Flavor, Project, Role, RoleAssignment, User, Volume, VolumeType, Zone
from hostler.identity import keys, lockout, passwords, roles

LOG = logging.getLogger(__name__)

DEFAULT_DOMAIN = "default"
ADMIN = "admin"
# name, flavorid, vcpus, ram in MiB, root disk in GiB
FLAVORS = (
    ("m1.nano", "42", 1, 128, 1), ("m1.tiny", "1", 1, 512, 1), ("m1.small", "2", 1, 2048, 20),
    ("m1.medium", "3", 2, 4096, 40), ("m1.large", "4", 4, 8192, 80), ("m1.xlarge", "5", 8, 16384, 160),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a client needs to start, and the names of what this run created.

    `admin_password` is None when the administrator existed and the password is not known.
    """

    admin_user_id: str
    admin_project_id: str
    admin_password: str | None = dataclasses.field(repr=False)
    network_id: str | None
    clouds_file: Path
    openrc_file: Path
    created: tuple[str, ...]


def bootstrap(db: Database, conf: cfg.ConfigOpts, *, admin_password: str | None, public_url: str, out_dir: Path,
              network_cidr: str | None = "10.88.0.0/24", open_default_group: bool = False,
              cloud: str = "hostler") -> Result:
    """Make what is missing and write the client files; returns how to log in.

    Without `admin_password` a new administrator gets a random one, and of one who is there already it is taken from
    an earlier `clouds.yaml` if it is still right. `network_cidr` None makes no network. `open_default_group` lets ssh
    and ping into the administrator's default security group.
    """
    created: list[str] = []
    if keys.ensure(keys.directory_of(conf)):
        created.append("token keys")
    out_dir = Path(out_dir)
    password = admin_password or clientfiles.known_password(out_dir, cloud)
    given = admin_password is not None

    def work(session: orm.Session) -> tuple[list[str], str, str, str | None, str | None]:
        made: list[str] = []
        _make_basics(session, made)
        project, user = _make_admin(session, made, _admin_project(conf))
        db.lock_row(session, Project, Project.id == project.id)
        used = _settle_password(session, conf, user, password, given=given)
        _make_offers(session, made)
        if conf.volume.default_volume_type == DEFAULT_TYPE:
            _make_default_type(session, made)
        network_id = None
        if network_cidr is not None:
            network_id = starter_network.make_network(session, conf, project.id, network_cidr, made)
        starter_network.make_default_group(session, project.id, made, open_to_all=open_default_group)
        return made, project.id, user.id, used, network_id

    try:
        made, project_id, user_id, used, network_id = db.write(work)
    except exc.IntegrityError:
        # Another bootstrap ran at the same time and won; now its rows are found.
        made, project_id, user_id, used, network_id = db.write(work)
    clouds_file, openrc_file = out_dir / clientfiles.CLOUDS, out_dir / clientfiles.OPENRC
    if used is None:
        LOG.warning("the administrator's password is not known: %s is left as it is", clouds_file)
    else:
        clientfiles.write(out_dir, _login(conf, cloud, public_url, used))
    created.extend(made)
    LOG.info("bootstrap made: %s", ", ".join(created) or "nothing, all was there")
    return Result(admin_user_id=user_id, admin_project_id=project_id, admin_password=used, network_id=network_id,
                  clouds_file=clouds_file, openrc_file=openrc_file, created=tuple(created))


def _login(conf: cfg.ConfigOpts, cloud: str, public_url: str, password: str) -> Login:
    return Login(cloud=cloud, auth_url=public_url.rstrip("/") + "/identity/v3", username=ADMIN, password=password,
                 project=_admin_project(conf), region=conf.identity.region)


def _admin_project(conf: cfg.ConfigOpts) -> str:
    return conf.identity.admin_project_name or ADMIN


def _ensure(session: orm.Session, made: list[str], model: type[Any], criteria: dict[str, Any],
            **values: Any) -> Any:
    """Return the row matching `criteria`, made with `values` when there is none."""
    row = session.execute(sa.select(model).filter_by(**criteria)).scalars().first()
    if row is None:
        row = model(**criteria, **values)
        session.add(row)
        session.flush()
        label = criteria.get("name") or criteria.get("flavorid") or criteria.get("id")
        made.append(f"{model.__name__.lower()} {label}" if label else model.__name__.lower())
    return row


def _make_basics(session: orm.Session, made: list[str]) -> None:
    _ensure(session, made, Domain, {"id": DEFAULT_DOMAIN}, name="Default", description="The default domain")
    for name in roles.BUILT_IN:
        _ensure(session, made, Role, {"name": name})


def _make_admin(session: orm.Session, made: list[str], project_name: str) -> tuple[Project, User]:
    project = _ensure(session, made, Project, {"domain_id": DEFAULT_DOMAIN, "name": project_name},
                      description="The administrators' project")
    user = _ensure(session, made, User, {"domain_id": DEFAULT_DOMAIN, "name": ADMIN}, default_project_id=project.id)
    admin_role = session.execute(sa.select(Role).where(Role.name == roles.ADMIN)).scalar_one()
    for target_type, target_id in (("project", project.id), ("domain", DEFAULT_DOMAIN), ("system", roles.SYSTEM_ID)):
        key = {"user_id": user.id, "target_type": target_type, "target_id": target_id, "role_id": admin_role.id}
        if session.get(RoleAssignment, key) is None:
            session.add(RoleAssignment(**key))
    return project, user


def _settle_password(session: orm.Session, conf: cfg.ConfigOpts, user: User, password: str | None, *,
                     given: bool) -> str | None:
    """Return the administrator's password, or None when it is not known; sets it when given or when there is none."""
    rounds = conf.identity.password_rounds
    if password is not None and passwords.password_matches(password, user.password_hash, rounds):
        return password
    if user.password_hash is not None:
        if not given:
            return None
        user.tokens_valid_from = clock.utcnow()
    chosen = password or secrets.token_urlsafe(18)
    user.password_hash = passwords.hash_password(chosen, rounds)
    user.password_changed_at = clock.utcnow()
    lockout.forget(session, user.id)
    return chosen


def _make_default_type(session: orm.Session, made: list[str]) -> None:
    """Make the default volume type; volumes of an older cloud that have no type get it."""
    kind = _ensure(session, made, VolumeType, {"name": DEFAULT_TYPE}, description="Default Volume Type")
    session.execute(sa.update(Volume).where(Volume.volume_type_id.is_(None), Volume.deleted_at.is_(None))
                    .values(volume_type_id=kind.id))


def _make_offers(session: orm.Session, made: list[str]) -> None:
    _ensure(session, made, Zone, {"name": "nova"})
    if session.execute(sa.select(sa.func.count()).select_from(Flavor)).scalar_one():
        return  # an operator may have deleted some on purpose
    for name, flavorid, vcpus, ram_mib, root_gib in FLAVORS:
        _ensure(session, made, Flavor, {"flavorid": flavorid}, name=name, vcpus=vcpus, ram_mib=ram_mib,
                root_gib=root_gib)
