"""The files with which clients find the cloud: `clouds.yaml` and `openrc`, readable by their owner only."""

from __future__ import annotations

import dataclasses
import os
import shlex
from pathlib import Path
from typing import Any

import yaml

CLOUDS, OPENRC = "clouds.yaml", "openrc"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Login:
    """How to log in to a cloud as a user of the default domain; `cloud` is its name in `clouds.yaml`."""

    cloud: str
    auth_url: str
    username: str
    password: str = dataclasses.field(repr=False)
    project: str
    region: str


def write(directory: Path, login: Login) -> tuple[Path, Path]:
    """Write both files and return their paths; other clouds in an existing `clouds.yaml` are kept."""
    directory.mkdir(parents=True, exist_ok=True)
    clouds_file, openrc_file = directory / CLOUDS, directory / OPENRC
    content = _read_clouds(clouds_file)
    content.setdefault("clouds", {})[login.cloud] = _cloud(login)
    _write_private(clouds_file, yaml.safe_dump(content, sort_keys=False))
    _write_private(openrc_file, _openrc(login))
    return clouds_file, openrc_file


def known_password(directory: Path, cloud: str) -> str | None:
    """Return the password that an earlier `clouds.yaml` holds for the cloud, if any."""
    entry = _read_clouds(directory / CLOUDS).get("clouds", {}).get(cloud, {})
    password = entry.get("auth", {}).get("password")
    return str(password) if password else None


def _read_clouds(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        return {}
    return content if isinstance(content, dict) else {}


def _cloud(login: Login) -> dict[str, Any]:
    return {"auth": {"auth_url": login.auth_url, "username": login.username, "password": login.password,
                     "project_name": login.project, "user_domain_id": "default", "project_domain_id": "default"},
            "region_name": login.region, "identity_api_version": "3", "interface": "public"}


def _openrc(login: Login) -> str:
    values = {"OS_AUTH_TYPE": "password", "OS_AUTH_URL": login.auth_url, "OS_USERNAME": login.username,
              "OS_PASSWORD": login.password, "OS_PROJECT_NAME": login.project, "OS_USER_DOMAIN_ID": "default",
              "OS_PROJECT_DOMAIN_ID": "default", "OS_REGION_NAME": login.region, "OS_IDENTITY_API_VERSION": "3",
              "OS_INTERFACE": "public"}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(temporary, path)
