"""What the distribution contains, and that its generic package names are its own."""

from __future__ import annotations

import configparser
import importlib.metadata
import importlib.util
import json
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
from oslo_config import cfg

from hostler import conf
from hostler.conf import database, identity, opts
from tests.harness import import_graph
from volume.drivers import loading

ROOT = import_graph.ROOT


def _distribution() -> importlib.metadata.Distribution:
    """Return our installed distribution, or skip: a bare checkout on the path is none."""
    try:
        found = importlib.metadata.distribution("hostler")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("hostler is not installed here; tox installs the wheel")
    if Path(str(found.locate_file(""))).resolve() == ROOT:
        pytest.skip("the checkout itself is on the path; tox installs the wheel")
    if json.loads(found.read_text("direct_url.json") or "{}").get("dir_info", {}).get("editable"):
        pytest.skip("hostler is installed in editable mode; tox installs the wheel")
    return found


def _setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


@pytest.mark.parametrize("package", import_graph.PACKAGES)
def test_package_name_belongs_to_us_alone(package: str) -> None:
    _distribution()
    owners = importlib.metadata.packages_distributions().get(package, [])
    assert set(owners) <= {"hostler"}, f"{package} is claimed by {owners}"


@pytest.mark.parametrize("package", import_graph.PACKAGES)
def test_packages_come_from_the_installed_wheel(package: str) -> None:
    _distribution()
    if not list((ROOT / package).rglob("*.py")):
        pytest.skip(f"{package} has no code yet")
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    assert not Path(spec.origin).is_relative_to(ROOT) or ".tox" in spec.origin, spec.origin


def test_every_directory_with_code_is_a_package() -> None:
    missing = {str(path.parent.relative_to(ROOT)) for package in import_graph.PACKAGES
               for path in (ROOT / package).rglob("*.py") if not (path.parent / "__init__.py").exists()}
    assert not missing, f"find: would leave these out of the wheel: {sorted(missing)}"


def test_every_module_is_in_the_wheel() -> None:
    installed = {str(path) for path in _distribution().files or ()}
    missing = {str(module.path.relative_to(ROOT)) for module in import_graph.read_modules().values()} - installed
    assert not missing, sorted(missing)


def test_guest_scripts_are_in_the_wheel() -> None:
    overlay = ROOT / "hostler/images/tiny/overlay"
    packaged = resources.files("hostler.images.tiny").joinpath("overlay")
    for path in overlay.rglob("*"):
        if path.is_file():
            assert packaged.joinpath(*path.relative_to(overlay).parts).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("group", list(_setup_cfg()["options.entry_points"]))
def test_entry_points_load(group: str) -> None:
    text = _setup_cfg()["options.entry_points"][group]
    targets = re.findall(r"=\s*([\w.]+):([\w.]+)", text)
    assert targets
    for module, attribute in targets:
        path = ROOT / Path(*module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__init__.py").exists(), f"{group}: {module} does not exist"
        found = import_graph.read_modules()[module].tree
        names = {getattr(node, "name", None) for node in found.body}
        assert attribute in names, f"{group}: {module} has no {attribute}"


def test_every_service_of_systemd_runs_a_script_of_ours() -> None:
    scripts = set(re.findall(r"^(hostler-[\w-]+) =", _setup_cfg()["options.entry_points"]["console_scripts"],
                             re.MULTILINE))
    units = {path.stem: path.read_text() for path in (ROOT / "etc/systemd").glob("*.service")}
    assert {"hostler-compute", "hostler-volume"} <= units.keys()
    for name, text in units.items():
        assert name in scripts and f"ExecStart=/opt/hostler/bin/{name} " in text, name


@pytest.mark.parametrize("kind", ["filters", "weighers"])
def test_every_scheduler_plugin_has_its_entry_point(kind: str) -> None:
    text = _setup_cfg()["options.entry_points"][f"hostler.scheduler.{kind}"]
    named = set(re.findall(r"^(\w+) =", text, re.MULTILINE))
    there = {path.stem for path in (ROOT / "scheduler" / kind).glob("*.py")} - {"__init__"}
    assert named == there


def _sampled(name: str) -> set[tuple[str, str]]:
    """Return (group, option) of every option in a sample configuration."""
    found, group = set(), ""
    for line in (ROOT / "etc/hostler" / name).read_text().splitlines():
        if line.startswith("["):
            group = line.strip("[]")
        elif match := re.match(r"#?([a-z]\w*) =", line):
            found.add((group, match[1]))
    return found


def test_every_option_is_listed() -> None:
    listed = {(group, option.name) for group, options in opts.list_opts() for option in options}
    for module in conf.GROUPS:
        for option in module.OPTS:
            assert (getattr(module, "GROUP", "DEFAULT"), option.name) in listed


@pytest.mark.parametrize(("sample", "listed"), [("hostler.conf.sample", opts.list_opts),
                                                ("agent.conf.sample", opts.list_agent_opts),
                                                ("volume.conf.sample", opts.list_volume_opts),
                                                ("volume.conf.sample", loading.list_opts),
                                                ("hostler.conf.sample", loading.list_opts)])
def test_samples_are_up_to_date(sample: str, listed: Callable[[], list[tuple[str, list[cfg.Opt]]]]) -> None:
    wanted = {(group, option.name) for group, options in listed() for option in options}
    groups = {group for group, _name in wanted} - {"DEFAULT"}
    found = _sampled(sample)
    assert wanted <= found, f"run `tox -e genconfig`; missing: {sorted(wanted - found)}"
    gone = {(group, name) for group, name in found if group in groups} - wanted
    assert not gone, f"run `tox -e genconfig`; no longer there: {sorted(gone)}"


@pytest.mark.parametrize("sample", ["agent.conf.sample", "volume.conf.sample"])
def test_agents_sample_names_no_database(sample: str) -> None:
    assert not [pair for pair in _sampled(sample) if pair[0] in {database.GROUP, identity.GROUP}]


@pytest.mark.parametrize("listed", [opts.list_agent_opts, opts.list_volume_opts])
def test_agents_options_name_no_database(listed: Callable[[], list[tuple[str, list[cfg.Opt]]]]) -> None:
    groups = {group for group, _options in listed()}
    assert database.GROUP not in groups
    assert identity.GROUP not in groups


def test_every_option_explains_itself() -> None:
    silent = [f"{group}.{option.name}" for group, options in opts.list_opts() for option in options
              if isinstance(option, cfg.Opt) and not option.help]
    assert not silent, silent


def test_bindep_lines_can_be_read_by_the_tools() -> None:
    pattern = re.compile(r"^[a-z0-9.+-]+ \[platform:(dpkg|debian)( [a-z]+)?\]$")
    lines = [line for line in (ROOT / "bindep.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert lines
    assert [line for line in lines if not pattern.match(line)] == []
