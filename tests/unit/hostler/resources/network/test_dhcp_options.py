"""DHCP options of ports: what is refused, and that nothing of a value reaches the server's configuration but itself."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler import errors
from hostler.resources.network.dhcp_options import KNOWN, changed, render


def option(name: str, value: Any, version: int = 4) -> dict[str, Any]:
    return {"opt_name": name, "opt_value": value, "ip_version": version}


@pytest.mark.parametrize(("name", "value", "version", "line"), [
    ("router", "10.0.0.1", 4, "option:router,10.0.0.1"),
    ("3", "10.0.0.1, 10.0.0.2", 4, "option:router,10.0.0.1,10.0.0.2"),
    ("router", "", 4, "option:router"), ("mtu", "1400", 4, "option:mtu,1400"),
    ("classless-static-route", "10.9.0.0/16,10.0.0.9", 4, "option:classless-static-route,10.9.0.0/16,10.0.0.9"),
    ("dns-server", "fd00::53", 6, "option6:dns-server,[fd00::53]"), ("300", "ab", 6, "option6:300,61:62"),
    ("domain-search", "a.example,b", 4, "option:domain-search,a.example,b"), ("200", "x", 4, "200,120b"),
    ("bootfile-name", "http://[fd00::1]/x?y=$mac&z", 4, "option:bootfile-name,http://[fd00::1]/x?y=$mac&z")])
def test_lines(name: str, value: str, version: int, line: str) -> None:
    assert render(option(name, value, version)) == line


@pytest.mark.parametrize(("name", "value", "version"), [
    ("router", "10.0.0", 4), ("router", "fd00::1", 4), ("dns-server", "10.0.0.1", 6), ("dns-server", "fe80::1%eth0", 6),
    ("mtu", "65536", 4), ("mtu", "-1", 4), ("mtu", "1400\n", 4), ("mtu", "٣", 4), ("ip-forward-enable", "2", 4),
    ("classless-static-route", "10.0.0.0/8", 4), ("classless-static-route", "10.0.0.1/8,10.0.0.9", 4),
    ("domain-search", "a..b", 4), ("bootfile-name", "a,b", 4), ("bootfile-name", "a\nport=53", 4),
    ("bootfile-name", "a\"b", 4), ("bootfile-name", "a #b", 4), ("bootfile-name", " a", 4), ("bootfile-name", "", 4),
    ("51", "1", 4), ("0", "1", 4), ("255", "x", 4), ("256", "x", 4), ("1", "x", 6), ("200", "a\x00", 4),
    ("200", "", 4), ("nonsense", "x", 4), ("router\nx", "10.0.0.1", 4), ("tag:x,3", "10.0.0.1", 4), ("mtu", "1", 6)])
def test_refused(name: str, value: str, version: int) -> None:
    with pytest.raises(errors.InvalidField) as refused:
        changed([], [option(name, value, version)])
    assert refused.value.fields["field"] == "extra_dhcp_opts"


def test_a_change_replaces_adds_and_removes() -> None:
    present = [option("mtu", "1400"), option("dns-server", "10.0.0.1"), option("dns-server", "fd00::1", 6)]
    after = changed(present, [option("mtu", "1300"), {"opt_name": "dns-server", "opt_value": None},
                              {"opt_name": "router", "opt_value": ""}, option("root-path", None)])
    assert after == [option("mtu", "1300"), option("dns-server", "fd00::1", 6), option("router", "")]
    for wrong in ([option("mtu", "1"), option("mtu", None)], [option("nonsense", None)],
                  [option(str(number), "x") for number in range(200, 233)]):
        with pytest.raises(errors.InvalidField):
            changed([], wrong)


@given(name=st.sampled_from([*[one.name for one in KNOWN[4].values()], "200", "bogus"]), value=st.text(max_size=300))
def test_nothing_but_a_line_of_plain_text_comes_out(name: str, value: str) -> None:
    try:
        line = render(option(name, value))
    except errors.InvalidField:
        return
    assert re.fullmatch(r"[A-Za-z0-9 ._:/@%+=~?&;()\[\]*^!$,-]+", line)
