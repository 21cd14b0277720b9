"""Policy defaults of volumes in the Block Storage API, under the names its published reference uses."""

from __future__ import annotations

from oslo_policy import policy

from api.policy import ADMIN, ANYBODY, OWNER_OR_ADMIN, READER

_ADMIN_ACTION = "volume_extension:volume_admin_actions:"
_ACTION = "volume_extension:volume_actions:"
_RULES: tuple[tuple[str, str, str], ...] = (
    ("volume:create", OWNER_OR_ADMIN, "Create volumes."),
    ("volume:create_from_image", OWNER_OR_ADMIN, "Create volumes from images."),
    ("volume:multiattach", OWNER_OR_ADMIN, "Create volumes that several servers may attach."),
    ("volume:get", READER, "Show a volume."),
    ("volume:get_all", READER, "List volumes."),
    ("volume:get_all:all_projects", ADMIN, "List the volumes of all projects."),
    ("volume:update", OWNER_OR_ADMIN, "Change a volume's name, description or metadata."),
    ("volume:delete", OWNER_OR_ADMIN, "Delete a volume."),
    ("volume:force_delete", ADMIN, "Delete a volume whatever its status."),
    ("volume:extend", OWNER_OR_ADMIN, "Extend a volume."),
    ("volume:extend_attached_volume", OWNER_OR_ADMIN, "Extend a volume that is in use."),
    ("volume:extend_volume_completion", ADMIN, "Say how a host's part of an extension went."),
    ("volume:revert_to_snapshot", OWNER_OR_ADMIN, "Revert a volume to its latest snapshot."),
    ("volume:retype", OWNER_OR_ADMIN, "Change a volume's type."),
    ("volume:update_readonly_flag", OWNER_OR_ADMIN, "Make a volume read-only, or writable."),
    ("volume:reimage", OWNER_OR_ADMIN, "Give a volume an image's content."),
    ("volume:reimage_reserved", OWNER_OR_ADMIN, "Give a reserved volume an image's content."),
    ("volume:get_volume_metadata", READER, "Show a volume's metadata."),
    ("volume:create_volume_metadata", OWNER_OR_ADMIN, "Add metadata to a volume."),
    ("volume:update_volume_metadata", OWNER_OR_ADMIN, "Change a volume's metadata."),
    ("volume:delete_volume_metadata", OWNER_OR_ADMIN, "Delete a volume's metadata."),
    ("volume_extension:volume_image_metadata:show", READER, "Show a volume's image metadata."),
    ("volume_extension:volume_image_metadata:set", OWNER_OR_ADMIN, "Set a volume's image metadata."),
    ("volume_extension:volume_image_metadata:remove", OWNER_OR_ADMIN, "Remove a volume's image metadata."),
    ("volume_extension:volume_host_attribute", ADMIN, "Show the back end of a volume."),
    ("volume_extension:volume_tenant_attribute", READER, "Show the project of a volume."),
    ("volume_extension:volume_mig_status_attribute", ADMIN, "Show how a volume's migration goes."),
    (_ADMIN_ACTION + "reset_status", ADMIN, "Set a volume's status."),
    (_ADMIN_ACTION + "force_delete", ADMIN, "Delete a volume whatever its status, by action."),
    (_ADMIN_ACTION + "force_detach", ADMIN, "Forget a volume's attachment."),
    ("volume_extension:volume_unmanage", ADMIN, "Forget a volume and leave it on its back end."),
    (_ADMIN_ACTION + "migrate_volume", ADMIN, "Move a volume to another back end."),
    (_ADMIN_ACTION + "migrate_volume_completion", ADMIN, "End the migration of a volume."),
    (_ACTION + "upload_image", OWNER_OR_ADMIN, "Make an image of a volume."),
    (_ACTION + "upload_public", ADMIN, "Make a public image of a volume."),
    (_ACTION + "attach", OWNER_OR_ADMIN, "Attach a volume, in the old way."),
    (_ACTION + "detach", OWNER_OR_ADMIN, "Detach a volume, in the old way."),
    (_ACTION + "reserve", OWNER_OR_ADMIN, "Reserve a volume, in the old way."),
    (_ACTION + "unreserve", OWNER_OR_ADMIN, "Give a reserved volume back, in the old way."),
    (_ACTION + "begin_detaching", OWNER_OR_ADMIN, "Say that a volume is being detached, in the old way."),
    (_ACTION + "roll_detaching", OWNER_OR_ADMIN, "Take that back, in the old way."),
    (_ACTION + "initialize_connection", OWNER_OR_ADMIN, "Connect a volume, in the old way."),
    (_ACTION + "terminate_connection", OWNER_OR_ADMIN, "End a connection, in the old way."),
    ("volume_extension:extensions", ANYBODY, "List the extensions."),
)

DEFAULTS = tuple(policy.RuleDefault(name, check, description=text) for name, check, text in _RULES)
