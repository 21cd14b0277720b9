"""Policy defaults of the Block Storage API besides volumes, under the names its published reference uses."""

from __future__ import annotations

from oslo_policy import policy

from api.policy import ADMIN, ANYBODY, OWNER_OR_ADMIN, READER

_TYPES = "volume_extension:"
_SPECS = "volume_extension:types_extra_specs:"
_ACCESS = "volume_extension:volume_type_access:"
_SNAPSHOT_ADMIN = "volume_extension:snapshot_admin_actions:"
_BACKUP_ADMIN = "volume_extension:backup_admin_actions:"

_SNAPSHOTS: tuple[tuple[str, str, str], ...] = (
    ("volume:create_snapshot", OWNER_OR_ADMIN, "Create snapshots."),
    ("volume:get_snapshot", READER, "Show a snapshot."),
    ("volume:get_all_snapshots", READER, "List snapshots."),
    ("volume:get_all_snapshots:all_projects", ADMIN, "List the snapshots of all projects."),
    ("volume:update_snapshot", OWNER_OR_ADMIN, "Change a snapshot's name or description."),
    ("volume:delete_snapshot", OWNER_OR_ADMIN, "Delete a snapshot."),
    ("volume:get_snapshot_metadata", READER, "Show a snapshot's metadata."),
    ("volume:update_snapshot_metadata", OWNER_OR_ADMIN, "Change a snapshot's metadata."),
    ("volume:delete_snapshot_metadata", OWNER_OR_ADMIN, "Delete a snapshot's metadata."),
    ("volume_extension:extended_snapshot_attributes", READER, "Show a snapshot's project and progress."),
    ("snapshot_extension:snapshot_actions:update_snapshot_status", OWNER_OR_ADMIN,
     "Say how a host's part of a snapshot goes."),
    (_SNAPSHOT_ADMIN + "reset_status", ADMIN, "Set a snapshot's status."),
    (_SNAPSHOT_ADMIN + "force_delete", ADMIN, "Delete a snapshot whatever its status."),
    ("snapshot_extension:snapshot_unmanage", ADMIN, "Forget a snapshot and leave it on its back end."),
    ("volume_extension:list_manageable", ADMIN, "List what volumes could be taken over."),
    ("snapshot_extension:list_manageable", ADMIN, "List what could be taken over."),
)
_BACKUPS: tuple[tuple[str, str, str], ...] = (
    ("backup:get_all", READER, "List backups."),
    ("backup:get_all:all_projects", ADMIN, "List the backups of all projects."),
    ("backup:get", READER, "Show a backup."),
    ("backup:create", OWNER_OR_ADMIN, "Create backups."),
    ("backup:update", OWNER_OR_ADMIN, "Change a backup's name, description or metadata."),
    ("backup:delete", OWNER_OR_ADMIN, "Delete a backup."),
    ("backup:restore", OWNER_OR_ADMIN, "Restore a backup."),
    ("backup:backup-import", ADMIN, "Import a backup's record."),
    ("backup:export-import", ADMIN, "Export a backup's record."),
    ("backup:backup_project_attribute", ADMIN, "Show a backup's project."),
    (_BACKUP_ADMIN + "reset_status", ADMIN, "Set a backup's status."),
    (_BACKUP_ADMIN + "force_delete", ADMIN, "Delete a backup whatever its status."),
)
_KINDS: tuple[tuple[str, str, str], ...] = (
    (_TYPES + "type_get", ANYBODY, "Show a volume type."),
    (_TYPES + "type_get_all", ANYBODY, "List volume types."),
    (_TYPES + "type_create", ADMIN, "Create a volume type."),
    (_TYPES + "type_update", ADMIN, "Change a volume type."),
    (_TYPES + "type_delete", ADMIN, "Delete a volume type."),
    (_TYPES + "access_types_extra_specs", ANYBODY, "Show extra specs within a volume type."),
    (_TYPES + "access_types_qos_specs_id", ADMIN, "Show the QoS specs of a volume type."),
    (_TYPES + "volume_type_access", ANYBODY, "Show whether a volume type is public."),
    (_SPECS + "index", ADMIN, "List a volume type's extra specs."),
    (_SPECS + "show", ADMIN, "Show an extra spec of a volume type."),
    (_SPECS + "create", ADMIN, "Add extra specs to a volume type."),
    (_SPECS + "update", ADMIN, "Change an extra spec of a volume type."),
    (_SPECS + "delete", ADMIN, "Delete an extra spec of a volume type."),
    (_SPECS + "read_sensitive", ADMIN, "See also the extra specs that are not for users."),
    (_ACCESS + "get_all_for_type", ADMIN, "See which projects may use a volume type."),
    (_ACCESS + "addProjectAccess", ADMIN, "Let a project use a volume type."),
    (_ACCESS + "removeProjectAccess", ADMIN, "Take a volume type away from a project."),
    ("volume_extension:default_get_all", ADMIN, "List the projects' default types."),
    ("volume_extension:qos_specs_manage:get_all", ADMIN, "List QoS specs, and the volume types that have some."),
    ("volume_extension:qos_specs_manage:get", ADMIN, "Show QoS specs."),
    ("volume_extension:qos_specs_manage:create", ADMIN, "Create QoS specs."),
    ("volume_extension:qos_specs_manage:update", ADMIN, "Change QoS specs, and which volume types have them."),
    ("volume_extension:qos_specs_manage:delete", ADMIN, "Delete QoS specs, and remove some of their keys."),
    ("volume_extension:volume_type_encryption:get", ADMIN, "Show a volume type's encryption."),
    ("volume_extension:volume_type_encryption:create", ADMIN, "Have volumes of a type encrypted."),
)
_CLOUD: tuple[tuple[str, str, str], ...] = (
    ("volume_extension:quotas:show", READER, "Show a project's quota."),
    ("volume_extension:quotas:update", ADMIN, "Change a project's quota."),
    ("volume_extension:quotas:delete", ADMIN, "Give a project the default quota."),
    ("volume_extension:quota_classes:get", ADMIN, "Show a quota class."),
    ("volume_extension:quota_classes:update", ADMIN, "Change a quota class."),
    ("limits_extension:used_limits", READER, "Show one's own limits and use."),
    ("limits_extension:other_project", ADMIN, "Show another project's limits and use."),
    ("volume_extension:services:index", ADMIN, "List services."),
    ("volume_extension:services:update", ADMIN, "Enable or disable services."),
    ("volume:freeze_host", ADMIN, "Freeze a back end."), ("volume:thaw_host", ADMIN, "Thaw a back end."),
    ("volume_extension:hosts", ADMIN, "List hosts."),
    ("volume_extension:capabilities", ADMIN, "Show what a back end can do."),
    ("volume_extension:availability_zone_list", ANYBODY, "List availability zones."),
    ("scheduler_extension:scheduler_stats:get_pools", ADMIN, "List pools."),
    ("message:get_all", READER, "List messages."),
    ("message:get", READER, "Show a message."),
    ("message:delete", OWNER_OR_ADMIN, "Delete a message."),
    ("clusters:get_all", ADMIN, "List clusters."),
    ("workers:cleanup", ADMIN, "Clean up after services that are down."),
    ("group:get_all", READER, "List groups."),
)
_HANDING: tuple[tuple[str, str, str], ...] = (
    ("volume:get_all_attachments", READER, "List attachments."),
    ("volume:get_all_attachments:all_projects", ADMIN, "List the attachments of all projects."),
    ("volume:get_attachment", READER, "Show an attachment."),
    ("volume:attachment_create", OWNER_OR_ADMIN, "Reserve a volume, or connect it to a machine of one's own."),
    ("volume:attachment_update", OWNER_OR_ADMIN, "Connect a reserved volume to a machine of one's own."),
    ("volume:attachment_secrets", ADMIN, "See the storage's keys in how an attachment reaches its volume."),
    ("volume:attachment_complete", OWNER_OR_ADMIN, "Say that a volume is attached."),
    ("volume:attachment_delete", OWNER_OR_ADMIN, "End an attachment."),
    ("volume:get_all_transfers", READER, "List transfers."),
    ("volume:get_all_transfers:all_projects", ADMIN, "List the transfers of all projects."),
    ("volume:get_transfer", READER, "Show a transfer."),
    ("volume:create_transfer", OWNER_OR_ADMIN, "Offer a volume to another project."),
    ("volume:accept_transfer", OWNER_OR_ADMIN, "Take a volume that is offered."),
    ("volume:delete_transfer", OWNER_OR_ADMIN, "Withdraw an offer."),
)

DEFAULTS = tuple(policy.RuleDefault(name, check, description=text)
                 for rules in (_SNAPSHOTS, _BACKUPS, _KINDS, _CLOUD, _HANDING) for name, check, text in rules)
