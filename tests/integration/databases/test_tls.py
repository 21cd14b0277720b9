"""Database servers over TLS, with the URLs that the operator's guide shows and certificates of `hostler-manage pki`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from hostler import clock, pki
from hostler.db.engine import Database
from tests.harness import backends, databases, mariadb


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
           ) -> Iterator[backends.Postgres | mariadb.MariaDB]:
    """A server that speaks TLS alone."""
    if missing := databases.missing(request.param):
        pytest.skip(missing)
    directory = tmp_path_factory.mktemp(request.param)
    pki.init_authority(directory / "authority", clock.utcnow())
    pki.issue(directory / "authority", "db1", ["127.0.0.1"], directory / "db1", clock.utcnow())
    made: backends.Postgres | mariadb.MariaDB = (
        backends.Postgres(certificates=directory / "db1") if request.param == "postgresql"
        else mariadb.MariaDB(directory / "server", certificates=directory / "db1"))
    made.start()
    yield made
    made.stop()


def _encryption(url: str) -> str:
    query = ("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()" if url.startswith("postgresql")
             else "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_version'")
    database = Database(url, max_retries=0, patience_s=0)
    try:
        with database.engine.connect() as connection:
            return str(connection.scalar(sa.text(query)))
    finally:
        database.dispose()


def test_a_connection_is_encrypted(server: backends.Postgres | mariadb.MariaDB) -> None:
    assert _encryption(server.url).startswith("TLS")


def test_a_connection_in_the_clear_is_refused(server: backends.Postgres | mariadb.MariaDB) -> None:
    url = sa.make_url(server.url).set(query={})
    plain = {"sslmode": "disable"} if url.get_backend_name() == "postgresql" else {"ssl_disabled": True}
    with pytest.raises(sa.exc.OperationalError, match="no encryption|insecure transport|Access denied"):
        sa.create_engine(url, connect_args=plain).connect()


def test_a_server_of_another_authority_is_refused(server: backends.Postgres | mariadb.MariaDB, tmp_path: Path) -> None:
    pki.init_authority(tmp_path, clock.utcnow())
    trusted = sa.make_url(server.url).query.get("sslrootcert") or sa.make_url(server.url).query["ssl_ca"]
    with pytest.raises(sa.exc.OperationalError, match="certificate verify failed|CERTIFICATE_VERIFY_FAILED"):
        _encryption(server.url.replace(str(trusted), str(tmp_path / pki.CA_CERT)))


def test_a_server_of_another_name_is_refused(server: backends.Postgres | mariadb.MariaDB) -> None:
    elsewhere = server.url.replace("@127.0.0.1:", "@localhost:")
    with pytest.raises(sa.exc.OperationalError, match="does not match|mismatch"):
        _encryption(elsewhere)
