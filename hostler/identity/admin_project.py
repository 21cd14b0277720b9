"""The admin project: the one project in which the role admin counts for the whole cloud.

Without it the administrator of any project could run the cloud. Keystone's options of the same names mean the same.
"""

from __future__ import annotations

from oslo_config import cfg

from hostler.db.models import Domain, Project


def is_configured(conf: cfg.ConfigOpts) -> bool:
    """Return whether there is one; otherwise every project counts as one."""
    return bool(conf.identity.admin_project_name and conf.identity.admin_project_domain_name)


def is_it(conf: cfg.ConfigOpts, project: Project | None, domain: Domain | None) -> bool:
    """Return whether the project, which is in `domain`, is the admin project; False when there is none."""
    return (is_configured(conf) and project is not None and domain is not None
            and project.name == conf.identity.admin_project_name
            and domain.name == conf.identity.admin_project_domain_name)


def counts_as_it(conf: cfg.ConfigOpts, project: Project | None, domain: Domain | None) -> bool:
    """Return whether the role admin in the project counts for the whole cloud."""
    return is_it(conf, project, domain) or (project is not None and not is_configured(conf))
