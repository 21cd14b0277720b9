"""Policy defaults of the Image API, under the names its published reference uses.

Who sees an image follows from its visibility and its members (`api.core.image.access`); these rules say what those who
see it may do.
"""

from __future__ import annotations

from oslo_policy import policy

from api.policy import ADMIN, ANYBODY, OWNER_OR_ADMIN

MEMBER_ITSELF = "rule:context_is_admin or (role:member and project_id:%(member_id)s)"

_RULES: tuple[tuple[str, str, str], ...] = (
    ("add_image", OWNER_OR_ADMIN, "Create an image."),
    ("get_images", ANYBODY, "List the images one sees."),
    ("get_image", ANYBODY, "Show an image one sees."),
    ("modify_image", OWNER_OR_ADMIN, "Change an image's attributes and tags."),
    ("delete_image", OWNER_OR_ADMIN, "Delete an image."),
    ("publicize_image", ADMIN, "Show an image to every project in its lists."),
    ("communitize_image", OWNER_OR_ADMIN, "Let every project use an image."),
    ("set_image_owner", ADMIN, "Create an image for, or give it to, another project."),
    ("upload_image", OWNER_OR_ADMIN, "Upload an image's data."),
    ("download_image", ANYBODY, "Download the data of an image one sees."),
    ("download_deactivated_image", ADMIN, "Download the data of a deactivated image."),
    ("deactivate", OWNER_OR_ADMIN, "Deactivate an image."),
    ("reactivate", OWNER_OR_ADMIN, "Reactivate an image."),
    ("get_members", ANYBODY, "See the members of an image one sees: its owner all, a member itself."),
    ("add_member", OWNER_OR_ADMIN, "Share an image with a project."),
    ("delete_member", OWNER_OR_ADMIN, "Stop sharing an image with a project."),
    ("modify_member", MEMBER_ITSELF, "Accept or reject an image shared with one's project."),
)

DEFAULTS = tuple(policy.RuleDefault(name, check, description=text) for name, check, text in _RULES)
