"""The rights of every persona by every rule, against the table in `rights.txt`.

Who changes a rule sees here whom that lets in: rule | who may in their own project | who may in another's.
"""

from __future__ import annotations

from pathlib import Path

from tests.harness import rights

TABLE = Path(__file__).with_name("rights.txt")


def test_rights_are_as_the_table_has_them() -> None:
    table = TABLE.read_text().splitlines()
    found = list(rights.lines())
    assert found == table, "run: python -m tests.harness.rights > tests/security/rights.txt, and read what it changes"


def test_nobody_but_the_clouds_administrator_acts_elsewhere() -> None:
    rows = [tuple(part.strip() for part in line.split("|")) for line in TABLE.read_text().splitlines()]
    everybody = next(other for rule, _, other in rows if rule == "os_compute_api:limits")
    assert {other for _, _, other in rows} == {"cloud", everybody}


def test_readers_and_strangers_change_nothing() -> None:
    """A reader may do what reads; the admin of a project may do what its manager may."""
    for line in TABLE.read_text().splitlines():
        rule, own, _ = (part.strip() for part in line.split("|"))
        who = set(own.split())
        assert ("manager" in who) == ("admin" in who) and "cloud" in who, rule
        verb = rule.rpartition(":")[2].replace("-", "_").split("_")[0]
        if verb in {"create", "update", "delete", "add", "remove", "set", "upload", "reset", "force"} \
                and "keypairs" not in rule:
            assert "reader" not in who and "unscoped" not in who, rule
