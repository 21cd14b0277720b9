"""Policy defaults of the identity face: administrators may do everything; users may read their own account, projects
and roles, and manage their own application credentials.

Targets: `project_id` is the project in question, `user_id` the owner of the resource, `member_id` the caller's id if
they hold a role on the target.
"""

from __future__ import annotations

from oslo_policy import policy

from api.policy import ADMIN, ANYBODY

OWNER = "rule:context_is_admin or user_id:%(user_id)s"
PROJECT_MEMBER = "rule:context_is_admin or project_id:%(project_id)s or user_id:%(member_id)s"
SERVICE_OR_OWNER = "rule:context_is_admin or role:service or user_id:%(user_id)s"

_RULES: dict[str, tuple[str, str]] = {
    "list_projects": (ADMIN, "List all projects."),
    "get_project": (PROJECT_MEMBER, "Show a project."),
    "create_project": (ADMIN, "Create a project."),
    "update_project": (ADMIN, "Change a project."),
    "delete_project": (ADMIN, "Delete a project that holds nothing any more."),
    "list_user_projects": (OWNER, "List the projects on which a user has roles."),
    "list_project_tags": (PROJECT_MEMBER, "List a project's tags."),
    "update_project_tags": (ADMIN, "Add, replace and remove a project's tags."),
    "list_users": (ADMIN, "List all users."),
    "get_user": (OWNER, "Show a user."),
    "create_user": (ADMIN, "Create a user."),
    "update_user": (ADMIN, "Change a user, the password included."),
    "delete_user": (ADMIN, "Delete a user."),
    "change_password": (OWNER, "Change one's password, knowing the old one."),
    "list_roles": (ANYBODY, "List the roles there are."),
    "get_role": (ANYBODY, "Show a role."),
    "create_role": (ADMIN, "Create a role."),
    "update_role": (ADMIN, "Change a role."),
    "delete_role": (ADMIN, "Delete a role."),
    "list_grants": (OWNER, "List a user's roles on a project, a domain or the system."),
    "check_grant": (OWNER, "Check a user's role on a project, a domain or the system."),
    "create_grant": (ADMIN, "Give a user a role."),
    "revoke_grant": (ADMIN, "Take a role from a user."),
    "list_role_assignments": (OWNER, "List role assignments; of others than oneself as an administrator."),
    "list_application_credentials": (OWNER, "List a user's application credentials."),
    "get_application_credential": (OWNER, "Show an application credential."),
    "create_application_credential": ("user_id:%(user_id)s", "Create an application credential for oneself."),
    "delete_application_credential": (OWNER, "Delete an application credential."),
    "list_domains": (ADMIN, "List the domains."),
    "get_domain": ("rule:context_is_admin or user_domain_id:%(domain_id)s or project_domain_id:%(domain_id)s",
                   "Show a domain."),
    "create_domain": (ADMIN, "Create a domain."),
    "update_domain": (ADMIN, "Change a domain."),
    "delete_domain": (ADMIN, "Delete a domain that is disabled and empty."),
    "list_services": (ADMIN, "List the catalog's services."),
    "list_endpoints": (ADMIN, "List the catalog's endpoints."),
    "list_regions": (ANYBODY, "List the regions."),
    "validate_token": (SERVICE_OR_OWNER, "Validate a token and show what it grants."),
    "check_token": (OWNER, "Check whether a token is valid."),
    "revoke_token": (OWNER, "Revoke a token."),
}

DEFAULTS = tuple(policy.RuleDefault(f"identity:{name}", check, description=text)
                 for name, (check, text) in _RULES.items())
