"""Policy defaults of the identity face, as Keystone's.

The cloud's administrators may do everything; readers of the system see everything. In a domain, a manager keeps users,
groups, projects and grants, and a reader sees them. Users may read their own account, groups, projects and roles, and
manage their own application credentials.

Targets: `project_id` is the project in question, `user_id` the owner of the resource, `domain_id` the domain it is in,
`member_id` the caller's id if they hold a role on the target. Of a grant, `user_domain_id` is the domain of the user or
group, and `role` the role's name; of a membership, `domain_id` is the group's. `protected` is what no domain's manager
may touch: the admin project, the accounts of administrators and services, and the groups that make somebody one. With
them, the manager of one domain could run the cloud.
"""

from __future__ import annotations

from oslo_policy import policy

from api.policy import ADMIN, ANYBODY

SYSTEM_READER = f"{ADMIN} or (role:reader and system_scope:all)"
DOMAIN_READER = f"{SYSTEM_READER} or (role:reader and domain_id:%(domain_id)s)"
DOMAIN_MANAGER = f"{ADMIN} or (role:manager and domain_id:%(domain_id)s and not True:%(protected)s)"
OWNER = f"{ADMIN} or user_id:%(user_id)s"
OWNER_OR_READER = f"{SYSTEM_READER} or user_id:%(user_id)s"
OWNER_OR_DOMAIN_READER = f"{DOMAIN_READER} or user_id:%(user_id)s"
PROJECT_MEMBER = f"{DOMAIN_READER} or project_id:%(project_id)s or user_id:%(member_id)s"
_IN_DOMAIN = "domain_id:%(domain_id)s and domain_id:%(user_domain_id)s"
GRANT_READER = f"{OWNER_OR_READER} or (role:reader and {_IN_DOMAIN})"
GRANT_MANAGER = (f"{ADMIN} or (role:manager and {_IN_DOMAIN} and not True:%(protected)s and "
                 "('manager':%(role)s or 'member':%(role)s or 'reader':%(role)s))")
MEMBERSHIP_READER = f"{SYSTEM_READER} or (role:reader and {_IN_DOMAIN})"
MEMBERSHIP_MANAGER = f"{ADMIN} or (role:manager and {_IN_DOMAIN} and not True:%(protected)s)"

_RULES: dict[str, tuple[str, str]] = {
    "list_projects": (DOMAIN_READER, "List all projects, or those of one's domain."),
    "get_project": (PROJECT_MEMBER, "Show a project."),
    "create_project": (DOMAIN_MANAGER, "Create a project."),
    "update_project": (DOMAIN_MANAGER, "Change a project."),
    "delete_project": (DOMAIN_MANAGER, "Delete a project that holds nothing any more."),
    "list_user_projects": (OWNER_OR_DOMAIN_READER, "List the projects on which a user has roles."),
    "list_project_tags": (PROJECT_MEMBER, "List a project's tags."),
    "update_project_tags": (DOMAIN_MANAGER, "Add, replace and remove a project's tags."),
    "list_users": (DOMAIN_READER, "List all users, or those of one's domain."),
    "get_user": (OWNER_OR_DOMAIN_READER, "Show a user."),
    "create_user": (DOMAIN_MANAGER, "Create a user."),
    "update_user": (DOMAIN_MANAGER, "Change a user, the password included."),
    "delete_user": (DOMAIN_MANAGER, "Delete a user."),
    "change_password": (OWNER, "Change one's password, knowing the old one."),
    "list_groups": (DOMAIN_READER, "List all groups, or those of one's domain."),
    "get_group": (DOMAIN_READER, "Show a group."),
    "create_group": (DOMAIN_MANAGER, "Create a group."),
    "update_group": (DOMAIN_MANAGER, "Change a group."),
    "delete_group": (DOMAIN_MANAGER, "Delete a group with the roles that it was given."),
    "list_groups_for_user": (OWNER_OR_DOMAIN_READER, "List the groups that a user is in."),
    "list_users_in_group": (DOMAIN_READER, "List the users in a group."),
    "check_user_in_group": (MEMBERSHIP_READER, "Check whether a user is in a group."),
    "add_user_to_group": (MEMBERSHIP_MANAGER, "Put a user into a group."),
    "remove_user_from_group": (MEMBERSHIP_MANAGER, "Take a user out of a group."),
    "list_roles": (ANYBODY, "List the roles there are."),
    "get_role": (ANYBODY, "Show a role."),
    "create_role": (ADMIN, "Create a role."),
    "update_role": (ADMIN, "Change a role."),
    "delete_role": (ADMIN, "Delete a role."),
    "list_grants": (GRANT_READER, "List the roles of a user or group on a project, a domain or the system."),
    "check_grant": (GRANT_READER, "Check a role of a user or group on a project, a domain or the system."),
    "create_grant": (GRANT_MANAGER, "Give a user or group a role."),
    "revoke_grant": (GRANT_MANAGER, "Take a role from a user or group."),
    "list_role_assignments": (OWNER_OR_DOMAIN_READER, "List role assignments: all, those in one's domain, or one's "
                                                      "own."),
    "list_application_credentials": (OWNER_OR_READER, "List a user's application credentials."),
    "get_application_credential": (OWNER_OR_READER, "Show an application credential."),
    "create_application_credential": ("user_id:%(user_id)s", "Create an application credential for oneself."),
    "delete_application_credential": (OWNER, "Delete an application credential."),
    "list_domains": (DOMAIN_READER, "List all domains, or one's own."),
    "get_domain": (f"{SYSTEM_READER} or domain_id:%(domain_id)s or user_domain_id:%(domain_id)s or "
                   "project_domain_id:%(domain_id)s", "Show a domain."),
    "create_domain": (ADMIN, "Create a domain."),
    "update_domain": (ADMIN, "Change a domain."),
    "delete_domain": (ADMIN, "Delete a domain that is disabled and empty."),
    "list_services": (SYSTEM_READER, "List the catalog's services."),
    "list_endpoints": (SYSTEM_READER, "List the catalog's endpoints."),
    "list_regions": (ANYBODY, "List the regions."),
    "validate_token": (f"{OWNER_OR_READER} or role:service", "Validate a token and show what it grants."),
    "check_token": (OWNER_OR_READER, "Check whether a token is valid."),
    "revoke_token": (OWNER, "Revoke a token."),
}

DEFAULTS = tuple(policy.RuleDefault(f"identity:{name}", check, description=text)
                 for name, (check, text) in _RULES.items())
