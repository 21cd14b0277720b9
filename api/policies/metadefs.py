"""Policy defaults of the metadata definitions, under the names that the Image API's published reference uses.

Who sees a namespace follows from its owner and visibility (`api.core.image.metadefs`); those who see it see all in it.
"""

from __future__ import annotations

from typing import Final

from oslo_policy import policy

from api.policy import ADMIN, ANYBODY

# Kind → verb → rule.
OF_KIND: Final[dict[str, dict[str, str]]] = {
    "objects": {"list": "get_metadef_objects", "show": "get_metadef_object", "add": "add_metadef_object",
                "change": "modify_metadef_object", "remove": "delete_metadef_object"},
    "properties": {"list": "get_metadef_properties", "show": "get_metadef_property", "add": "add_metadef_property",
                   "change": "modify_metadef_property", "remove": "remove_metadef_property"},
    "tags": {"list": "get_metadef_tags", "show": "get_metadef_tag", "add": "add_metadef_tag",
             "change": "modify_metadef_tag", "remove": "delete_metadef_tag"},
    "resource_types": {"list": "list_metadef_resource_types", "show": "get_metadef_resource_type",
                       "add": "add_metadef_resource_type_association",
                       "remove": "remove_metadef_resource_type_association"},
}
OF_NAMESPACES: Final = {
    "get_metadef_namespaces": "List the namespaces one sees.", "get_metadef_namespace": "Show a namespace one sees.",
    "add_metadef_namespace": "Create a namespace.", "modify_metadef_namespace": "Change a namespace.",
    "delete_metadef_namespace": "Delete a namespace."}
_VERBS: Final = {"list": "List the {} of a namespace one sees.", "show": "Show one of a namespace's {}.",
                 "add": "Add {} to a namespace.", "change": "Change one of a namespace's {}.",
                 "remove": "Remove {} from a namespace."}


def _default(name: str, text: str) -> policy.RuleDefault:
    return policy.RuleDefault(name, ANYBODY if name.startswith(("get_", "list_")) else ADMIN, description=text)


DEFAULTS = (*(_default(name, text) for name, text in OF_NAMESPACES.items()),
            *(_default(rule, _VERBS[verb].format(kind.replace("_", " ")))
              for kind, rules in OF_KIND.items() for verb, rule in rules.items()))
