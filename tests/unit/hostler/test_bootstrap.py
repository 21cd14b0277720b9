"""The bootstrap: an empty database becomes a cloud, and a second run changes nothing."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from oslo_config import cfg

from hostler import conf as configuration
from hostler import errors, starter_network
from hostler.bootstrap import bootstrap
from hostler.db.engine import Database
from hostler.db.models import Base, Flavor, Network, SecurityGroupRule, Subnet, User, Zone
from hostler.identity import passwords
from hostler.resources.network import sharing
from tests.harness import databases


@pytest.fixture
def conf(tmp_path: Path) -> cfg.ConfigOpts:
    return configuration.load([], config_files=[],
                              overrides={"state_path": str(tmp_path), "identity.password_rounds": 4})


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = databases.opened(f"sqlite:///{tmp_path / 'hostler.db'}")
    yield database
    database.dispose()


def _counts(db: Database) -> dict[str, int]:
    with db.reading() as session:
        return {table.name: session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for table in Base.metadata.sorted_tables}


def _run(db: Database, conf: cfg.ConfigOpts, out_dir: Path, **options: Any) -> Any:
    values: dict[str, Any] = {"admin_password": None, "public_url": "http://192.0.2.1:8780", **options}
    return bootstrap(db, conf, out_dir=out_dir, **values)


def test_an_empty_database_becomes_a_cloud(db: Database, conf: cfg.ConfigOpts, tmp_path: Path) -> None:
    result = _run(db, conf, tmp_path / "out")
    with db.reading() as session:
        assert session.execute(sa.select(Zone.name)).scalars().all() == ["nova"]
        assert dict(session.execute(sa.select(Flavor.name, Flavor.flavorid)).tuples().all())["m1.nano"] == "42"
        network = session.execute(sa.select(Network)).scalar_one()
        assert (network.is_default, network.host_gateway) == (True, True)
        assert sharing.shared_among(session, [network.id], None) == {network.id}
        subnet = session.execute(sa.select(Subnet)).scalar_one()
        assert (subnet.cidr, subnet.gateway_ip, subnet.dhcp_ip) == ("10.88.0.0/24", "10.88.0.1", "10.88.0.2")
        assert subnet.allocation_pools == [{"start": "10.88.0.3", "end": "10.88.0.254"}]
    cloud = yaml.safe_load(result.clouds_file.read_text())["clouds"]["hostler"]
    assert cloud["auth"]["password"] == result.admin_password
    assert cloud["auth"]["auth_url"] == "http://192.0.2.1:8780/identity/v3"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (result.clouds_file, result.openrc_file)} == {0o600}
    assert str(result.admin_password) not in repr(result)


def test_a_second_run_changes_nothing(db: Database, conf: cfg.ConfigOpts, tmp_path: Path) -> None:
    first = _run(db, conf, tmp_path / "out", open_default_group=True)
    counts = _counts(db)
    second = _run(db, conf, tmp_path / "out", open_default_group=True)
    assert second.created == ()
    assert _counts(db) == counts
    assert second.admin_password == first.admin_password


def test_the_password_is_set_when_given_only(db: Database, conf: cfg.ConfigOpts, tmp_path: Path) -> None:
    _run(db, conf, tmp_path / "out", admin_password="one")
    unknown = _run(db, conf, tmp_path / "elsewhere")
    assert unknown.admin_password is None
    assert not unknown.clouds_file.exists()
    assert _run(db, conf, tmp_path / "elsewhere", admin_password="two").admin_password == "two"
    with db.reading() as session:
        user = session.execute(sa.select(User)).scalar_one()
        assert passwords.password_matches("two", user.password_hash, 4)
        assert user.tokens_valid_from is not None


def test_other_clouds_in_the_file_stay(db: Database, conf: cfg.ConfigOpts, tmp_path: Path) -> None:
    (tmp_path / "clouds.yaml").write_text("clouds: {other: {region_name: X}}\n")
    result = _run(db, conf, tmp_path)
    assert set(yaml.safe_load(result.clouds_file.read_text())["clouds"]) == {"other", "hostler"}


def test_what_an_operator_removed_does_not_come_back(db: Database, conf: cfg.ConfigOpts, tmp_path: Path) -> None:
    _run(db, conf, tmp_path)
    db.write(lambda session: session.execute(sa.delete(Flavor).where(Flavor.name != "m1.tiny")))
    _run(db, conf, tmp_path)
    assert _counts(db)["flavors"] == 1


def test_the_default_group_is_opened_on_request(db: Database, conf: cfg.ConfigOpts, tmp_path: Path) -> None:
    _run(db, conf, tmp_path, network_cidr=None)
    assert _counts(db)["networks"] == 0
    _run(db, conf, tmp_path, network_cidr=None, open_default_group=True)
    with db.reading() as session:
        opened = session.execute(sa.select(SecurityGroupRule.protocol, SecurityGroupRule.port_min).where(
            SecurityGroupRule.protocol.is_not(None))).tuples().all()
    assert set(opened) == {("tcp", 22), ("icmp", None)}


@pytest.mark.parametrize("cidr", ["nonsense", "10.0.0.0/30", "fd00::/64", "10.0.0.1/24"])
def test_a_network_that_cannot_be_is_refused(db: Database, conf: cfg.ConfigOpts, tmp_path: Path, cidr: str) -> None:
    with pytest.raises(errors.Invalid):
        _run(db, conf, tmp_path, network_cidr=cidr)


def test_only_name_servers_a_guest_can_reach(tmp_path: Path) -> None:
    stub, real = tmp_path / "a", tmp_path / "b"
    stub.write_text("nameserver 127.0.0.53\nnameserver ::1\n")
    real.write_text("# x\nnameserver 192.0.2.53\nsearch example.org\nnameserver fe80::1%eth0\n")
    assert starter_network.host_resolvers([stub, real]) == ["192.0.2.53"]
    assert starter_network.host_resolvers([tmp_path / "missing", stub]) == []
