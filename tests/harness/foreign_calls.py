"""Every verb of every face with the ids it takes, as templates: `{volume}` stands for the id of some volume.

Verbs without a body are found in the faces' own URL maps; `BODIES` has those that need one. `PARAMETERS` says which
noun stands at a place of a path.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final
from unittest import mock

from api.openstack.network import not_built as network_not_built

FACES: Final = ("identity", "compute", "image", "network", "volume")
# Parameter of a path → noun; for the network API, whose parameters are all called `id`, collection → noun.
PARAMETERS: Final = {
    "project_id": "project", "user_id": "user", "credential_id": "credential", "server_id": "server",
    "port_id": "port", "volume_id": "volume", "action_id": "action", "flavor_id": "flavor",
    "keypair_name": "keypair", "group_id": "server_group", "image_id": "image", "member_id": "project",
    "attachment_id": "attachment", "backup_id": "backup", "snapshot_id": "snapshot", "transfer_id": "transfer",
    "type_id": "type", "quota_project_id": "project", "security_group_id": "security_group", "rule_id": "rule",
    "network_id": "network", "floating_ip_id": "floatingip",
    "networks": "network", "subnets": "subnet", "ports": "port", "security-groups": "security_group",
    "security-group-rules": "rule", "routers": "router", "floatingips": "floatingip",
    "port_forwardings": "port_forwarding", "rbac-policies": "rbac_policy",
    "subnetpools": "subnet_pool", "address-scopes": "address_scope", "address-groups": "address_group",
    "qos": "qos_policy", "limit_id": "qos_rule", "quotas": "project",
    "network-ip-availabilities": "network", "auto-allocated-topology": "project"}
# Other parameters, which name nothing that a project has.
PLAIN: Final = {"key": "note", "action": "deactivate", "domain_id": "default", "name": "image",
                "class_name": "default", "qos_id": "00000000-0000-4000-8000-000000000000",
                "aggregate_id": "1", "sha256": "0" * 64}
_V, _C, _N, _I, _K = "/volume/v3", "/compute/v2.1", "/network/v2.0", "/image/v2", "/identity/v3"


def _template(path: str) -> str:
    """Return a route's path with nouns for its parameters."""
    def noun(found: re.Match[str]) -> str:
        name = found.group(1).partition(":")[0]
        if path.startswith("/identity/") and name == "group_id":
            return "{group}"
        if path.startswith("/network/"):
            name = {"id": path.split("/")[3], "inner_id": path.split("/")[-2]}.get(name, name)
        return f"{{{PARAMETERS[name]}}}" if name in PARAMETERS else PLAIN.get(name, "x")
    return re.sub(r"\{([\w:]+)\}", noun, path)


@dataclasses.dataclass(frozen=True)
class Call:
    """One verb; `path` and `body` hold the placeholders."""

    method: str
    path: str
    body: Any = None

    @property
    def nouns(self) -> tuple[str, ...]:
        """The placeholders, in order."""
        return tuple(dict.fromkeys(re.findall(r"\{(\w+)\}", self.path + json.dumps(self.body))))

    def filled(self, ids: Mapping[str, str]) -> Call:
        """Return the call with ids for its nouns."""
        def fill(text: str) -> str:
            return re.sub(r"\{(\w+)\}", lambda found: ids[found.group(1)], text)
        return Call(self.method, fill(self.path), json.loads(fill(json.dumps(self.body))))


def _actions(path: str, **actions: Any) -> list[Call]:
    return [Call("POST", path, {name.replace("__", "-"): argument}) for name, argument in actions.items()]


BODIES: Final[tuple[Call, ...]] = (
    # Volumes
    *(Call("POST", f"{_V}/volumes", {"volume": {"size": 1, **source}}) for source in (
        {"snapshot_id": "{snapshot}"}, {"source_volid": "{volume}"}, {"imageRef": "{image}"},
        {"backup_id": "{backup}"}, {"volume_type": "{type}"})),
    *(Call("POST", f"{_V}/volumes", {"volume": {"size": 1}, "OS-SCH-HNT:scheduler_hints": hints}) for hints in (
        {"same_host": "{volume}"}, {"different_host": ["{volume}"]})),
    Call("PUT", f"{_V}/volumes/{{volume}}", {"volume": {"name": "taken"}}),
    Call("POST", f"{_V}/volumes/{{volume}}/metadata", {"metadata": {"taken": "x"}}),
    Call("PUT", f"{_V}/volumes/{{volume}}/metadata", {"metadata": {}}),
    Call("PUT", f"{_V}/volumes/{{volume}}/metadata/note", {"meta": {"note": "x"}}),
    *_actions(
        f"{_V}/volumes/{{volume}}/action", os__extend={"new_size": 2}, os__retype={"new_type": "__DEFAULT__"},
        os__migrate_volume={"host": None}, revert={"snapshot_id": "{snapshot}"},
        os__update_readonly_flag={"readonly": True}, os__set_bootable={"bootable": True},
        os__reset_status={"status": "error"}, os__volume_upload_image={"image_name": "x"},
        os__set_image_metadata={"metadata": {"a": "b"}}, os__unset_image_metadata={"key": "note"},
        os__show_image_metadata=None, os__force_detach={}, os__detach={"attachment_id": "{attachment}"},
        os__reserve=None, os__unreserve=None, os__attach={"instance_uuid": "{server}", "mountpoint": "/dev/vdz"},
        os__begin_detaching=None, os__roll_detaching=None,
        os__initialize_connection={"connector": {}}, os__terminate_connection={"connector": {}},
        os__reimage={"image_id": "{image}"}, os__force_delete=None),
    *_actions(f"{_V}/volumes/{{volume}}/action", os__detach={}),
    Call("POST", f"{_V}/volumes/{{volume}}/action", {"os-retype": {"new_type": "{type}"}}),
    Call("POST", f"{_V}/snapshots", {"snapshot": {"volume_id": "{volume}", "force": True}}),
    Call("PUT", f"{_V}/snapshots/{{snapshot}}", {"snapshot": {"name": "taken"}}),
    Call("POST", f"{_V}/snapshots/{{snapshot}}/metadata", {"metadata": {"taken": "x"}}),
    Call("PUT", f"{_V}/snapshots/{{snapshot}}/metadata", {"metadata": {}}),
    Call("PUT", f"{_V}/snapshots/{{snapshot}}/metadata/note", {"meta": {"note": "x"}}),
    *_actions(f"{_V}/snapshots/{{snapshot}}/action", os__reset_status={"status": "error"},
              os__update_snapshot_status={"status": "error"}, os__unmanage=None, os__force_delete=None),
    Call("POST", f"{_V}/backups", {"backup": {"volume_id": "{volume}"}}),
    Call("POST", f"{_V}/backups", {"backup": {"volume_id": "{volume}", "snapshot_id": "{snapshot}"}}),
    Call("POST", f"{_V}/backups", {"backup": {"volume_id": "{volume}", "incremental": True}}),
    Call("PUT", f"{_V}/backups/{{backup}}", {"backup": {"name": "taken"}}),
    Call("POST", f"{_V}/backups/{{backup}}/restore", {"restore": {}}),
    Call("POST", f"{_V}/backups/{{backup}}/restore", {"restore": {"volume_id": "{volume}"}}),
    *_actions(f"{_V}/backups/{{backup}}/action", os__reset_status={"status": "error"}, os__force_delete={}),
    Call("POST", f"{_V}/volume-transfers", {"transfer": {"volume_id": "{volume}"}}),
    Call("POST", f"{_V}/os-volume-transfer", {"transfer": {"volume_id": "{volume}"}}),
    Call("POST", f"{_V}/volume-transfers/{{transfer}}/accept", {"accept": {"auth_key": "guess"}}),
    Call("POST", f"{_V}/os-volume-transfer/{{transfer}}/accept", {"accept": {"auth_key": "guess"}}),
    Call("POST", f"{_V}/attachments", {"attachment": {"volume_uuid": "{volume}", "instance_uuid": "{server}"}}),
    Call("PUT", f"{_V}/attachments/{{attachment}}", {"attachment": {"connector": {"host": "mine"}}}),
    Call("POST", f"{_V}/attachments/{{attachment}}/action", {"os-complete": None}),
    *(Call("POST", f"{_V}/types/{{type}}/{part}", body) for part, body in (
        ("extra_specs", {"extra_specs": {"a": "b"}}), ("action", {"addProjectAccess": {"project": "{project}"}}),
        ("encryption", {"encryption": {"provider": "luks", "control_location": "front-end"}}))),
    Call("PUT", f"{_V}/types/{{type}}", {"volume_type": {"name": "taken"}}),
    Call("PUT", f"{_V}/types/{{type}}/extra_specs/note", {"note": "x"}),
    Call("PUT", f"{_V}/types/{{type}}/encryption/note", {"encryption": {}}),
    Call("PUT", f"{_V}/os-quota-sets/{{project}}", {"quota_set": {"volumes": 1}}),
    # Servers
    *(Call("POST", f"{_C}/servers", {"server": {"name": "x", "flavorRef": "42", "networks": "none", **more}})
      for more in (
          {"imageRef": "{image}"}, {"imageRef": "{image}", "networks": [{"uuid": "{network}"}]},
          {"imageRef": "{image}", "networks": [{"port": "{port}"}]},
          {"imageRef": "{image}", "flavorRef": "{flavor}"}, {"imageRef": "{image}", "key_name": "{keypair}"},
          {"imageRef": "{image}", "networks": "auto", "security_groups": [{"name": "{security_group}"}]},
          *({"block_device_mapping_v2": [{"source_type": noun, "destination_type": "volume", "uuid": f"{{{noun}}}",
                                          "boot_index": 0, "volume_size": 1}]}
            for noun in ("volume", "snapshot", "image")))),
    Call("POST", f"{_C}/servers", {
        "server": {"name": "x", "flavorRef": "42", "networks": "none", "imageRef": "{image}"},
        "os:scheduler_hints": {"group": "{server_group}"}}),
    *(Call("POST", f"{_C}/servers", {
        "server": {"name": "x", "flavorRef": "42", "networks": "none", "imageRef": "{image}"},
        "os:scheduler_hints": {hint: "{server}"}}) for hint in ("same_host", "different_host")),
    Call("PUT", f"{_C}/servers/{{server}}", {"server": {"name": "taken"}}),
    Call("POST", f"{_C}/servers/{{server}}/metadata", {"metadata": {"taken": "x"}}),
    Call("PUT", f"{_C}/servers/{{server}}/metadata", {"metadata": {}}),
    Call("PUT", f"{_C}/servers/{{server}}/metadata/note", {"meta": {"note": "x"}}),
    Call("PUT", f"{_C}/servers/{{server}}/tags", {"tags": ["taken"]}),
    Call("POST", f"{_C}/servers/{{server}}/os-interface", {"interfaceAttachment": {"port_id": "{port}"}}),
    Call("POST", f"{_C}/servers/{{server}}/os-interface", {"interfaceAttachment": {"net_id": "{network}"}}),
    Call("POST", f"{_C}/servers/{{server}}/os-volume_attachments", {"volumeAttachment": {"volumeId": "{volume}"}}),
    Call("PUT", f"{_C}/servers/{{server}}/os-volume_attachments/{{volume}}",
         {"volumeAttachment": {"volumeId": "{volume}", "delete_on_termination": True}}),
    Call("POST", f"{_C}/servers/{{server}}/remote-consoles", {"remote_console": {"protocol": "vnc", "type": "novnc"}}),
    Call("POST", f"{_C}/servers/{{server}}/consoles", {"console": {}}),
    Call("POST", f"{_C}/servers/{{server}}/migrations/x/action", {"force_complete": None}),
    *_actions(f"{_C}/servers/{{server}}/action", os__start=None, os__stop=None, reboot={"type": "HARD"}, pause=None,
              unpause=None, suspend=None, resume=None, lock=None, unlock=None, os__getConsoleOutput={},
              os__resetState={"state": "error"}, restore=None, rebuild={"imageRef": "{image}"},
              addSecurityGroup={"name": "{security_group}"}, removeSecurityGroup={"name": "{security_group}"},
              createImage={"name": "x"}, resize={"flavorRef": "{flavor}"}, forceDelete=None),
    Call("POST", f"{_C}/flavors/{{flavor}}/action", {"addTenantAccess": {"tenant": "{project}"}}),
    Call("POST", f"{_C}/flavors/{{flavor}}/os-extra_specs", {"extra_specs": {"a": "b"}}),
    Call("PUT", f"{_C}/flavors/{{flavor}}", {"flavor": {"description": "taken"}}),
    Call("PUT", f"{_C}/flavors/{{flavor}}/os-extra_specs/note", {"note": "x"}),
    Call("PUT", f"{_C}/os-quota-sets/{{project}}", {"quota_set": {"instances": 1}}),
    # What old microversions show of other services
    Call("POST", f"{_C}/images/{{image}}/metadata", {"metadata": {"taken": "x"}}),
    Call("PUT", f"{_C}/images/{{image}}/metadata", {"metadata": {}}),
    Call("PUT", f"{_C}/images/{{image}}/metadata/note", {"meta": {"note": "x"}}),
    Call("POST", f"{_C}/os-volumes", {"volume": {"size": 1, "snapshot_id": "{snapshot}"}}),
    Call("POST", f"{_C}/os-snapshots", {"snapshot": {"volume_id": "{volume}", "force": True}}),
    *_actions(f"{_C}/os-networks/{{network}}/action", disassociate=None),
    Call("PUT", f"{_C}/os-security-groups/{{security_group}}", {"security_group": {
        "name": "taken", "description": "taken"}}),
    Call("POST", f"{_C}/os-security-group-rules", {"security_group_rule": {
        "parent_group_id": "{security_group}", "ip_protocol": "udp", "from_port": 1, "to_port": 1}}),
    Call("POST", f"{_C}/os-security-group-rules", {"security_group_rule": {
        "parent_group_id": "{own_security_group}", "group_id": "{security_group}"}}),
    # Networks
    Call("PUT", f"{_N}/networks/{{network}}", {"network": {"name": "taken"}}),
    Call("POST", f"{_N}/subnets", {"subnet": {"network_id": "{network}", "ip_version": 4, "cidr": "10.77.0.0/24"}}),
    Call("PUT", f"{_N}/subnets/{{subnet}}", {"subnet": {"name": "taken"}}),
    Call("POST", f"{_N}/ports", {"port": {"network_id": "{network}", "fixed_ips": [{"subnet_id": "{subnet}"}]}}),
    Call("POST", f"{_N}/ports", {"port": {"network_id": "{network}", "security_groups": ["{security_group}"]}}),
    Call("POST", f"{_N}/ports", {"port": {"network_id": "{network}", "device_id": "{server}",
                                          "device_owner": "compute:nova"}}),
    Call("POST", f"{_N}/ports", {"port": {"network_id": "{network}", "tenant_id": "{project}"}}),
    Call("PUT", f"{_N}/ports/{{port}}", {"port": {"name": "taken"}}),
    Call("PUT", f"{_N}/ports/{{port}}", {"port": {"security_groups": ["{security_group}"]}}),
    Call("PUT", f"{_N}/ports/{{port}}", {"port": {"fixed_ips": [{"subnet_id": "{subnet}"}]}}),
    Call("PUT", f"{_N}/ports/{{port}}", {"port": {"device_id": "{server}"}}),
    Call("PUT", f"{_N}/security-groups/{{security_group}}", {"security_group": {"name": "taken"}}),
    Call("POST", f"{_N}/security-group-rules", {"security_group_rule": {
        "security_group_id": "{security_group}", "direction": "egress", "protocol": "udp"}}),
    Call("PUT", f"{_N}/security-group-rules/{{rule}}", {"security_group_rule": {"description": "taken"}}),
    # The second noun of the same kind: the remote group.
    Call("POST", f"{_N}/security-group-rules", {"security_group_rule": {
        "security_group_id": "{own_security_group}", "direction": "ingress", "protocol": "icmp",
        "remote_group_id": "{security_group}"}}),
    Call("PUT", f"{_N}/routers/{{router}}", {"router": {"name": "taken"}}),
    Call("PUT", f"{_N}/routers/{{router}}/add_router_interface", {"subnet_id": "{subnet}"}),
    Call("PUT", f"{_N}/routers/{{router}}/remove_router_interface", {"subnet_id": "{subnet}"}),
    Call("POST", f"{_N}/agents/x/l3-routers", {"router_id": "{router}"}),
    *(Call("PUT", f"{_N}/routers/{{router}}/{verb}_extraroutes", {"router": {"routes": [
        {"destination": "10.98.0.0/24", "nexthop": "10.0.0.9"}]}}) for verb in ("add", "remove")),
    Call("PUT", f"{_N}/floatingips/{{floatingip}}", {"floatingip": {"description": "taken"}}),
    Call("PUT", f"{_N}/floatingips/{{floatingip}}", {"floatingip": {"port_id": "{port}"}}),
    Call("POST", f"{_N}/floatingips/{{floatingip}}/port_forwardings", {"port_forwarding": {
        "internal_port_id": "{port}", "internal_ip_address": "10.9.0.9", "protocol": "udp", "internal_port": 53,
        "external_port": 53}}),
    Call("PUT", f"{_N}/floatingips/{{floatingip}}/port_forwardings/{{port_forwarding}}", {"port_forwarding": {
        "internal_port_id": "{port}"}}),
    *(Call("POST", f"{_N}/rbac-policies", {"rbac_policy": {
        "object_type": noun, "object_id": f"{{{noun}}}", "action": "access_as_shared",
        "target_tenant": "0" * 32}}) for noun in ("network", "security_group")),
    *(Call("POST", f"{_N}/rbac-policies", {"rbac_policy": {
        "object_type": kind, "object_id": f"{{{noun}}}", "action": "access_as_shared",
        "target_tenant": "0" * 32}}) for kind, noun in (("subnetpool", "subnet_pool"),
                                                        ("address_scope", "address_scope"),
                                                        ("address_group", "address_group"),
                                                        ("qos_policy", "qos_policy"))),
    Call("PUT", f"{_N}/subnetpools/{{subnet_pool}}", {"subnetpool": {"name": "taken"}}),
    Call("PUT", f"{_N}/address-groups/{{address_group}}", {"address_group": {"name": "taken"}}),
    *(Call("PUT", f"{_N}/address-groups/{{address_group}}/{verb}_addresses", {"addresses": ["10.0.0.0/8"]})
      for verb in ("add", "remove")),
    Call("POST", f"{_N}/security-group-rules", {"security_group_rule": {
        "security_group_id": "{own_security_group}", "direction": "ingress", "protocol": "icmp",
        "remote_address_group_id": "{address_group}"}}),
    Call("PUT", f"{_N}/qos/policies/{{qos_policy}}", {"policy": {"name": "taken"}}),
    *(Call("PUT", f"{_N}/{path}/{{qos_policy}}/tags", {"tags": ["taken"]}) for path in ("qos/policies", "policies")),
    Call("POST", f"{_N}/qos/policies/{{qos_policy}}/bandwidth_limit_rules", {"bandwidth_limit_rule": {
        "max_kbps": 1, "direction": "ingress"}}),
    Call("PUT", f"{_N}/qos/policies/{{qos_policy}}/bandwidth_limit_rules/{{qos_rule}}", {"bandwidth_limit_rule": {
        "max_kbps": 1}}),
    # What is not built, whatever is sent.
    *(Call(method, _template(f"{_N}/{path}{rest}"), {}) for path in network_not_built.ABSENT_INNER
      for method, rest in (("POST", ""), ("PUT", "/{inner_id}"))),
    *(Call("PUT", _template(f"{_N}/{path}"), {}) for path in network_not_built.NOT_BUILT_ACTIONS),
    Call("POST", f"{_N}/networks", {"network": {"qos_policy_id": "{qos_policy}"}}),
    *(Call("PUT", f"{_N}/{noun}s/{{{noun}}}", {noun: {"qos_policy_id": "{qos_policy}"}}) for noun in (
        "network", "port")),
    Call("POST", f"{_N}/ports", {"port": {"network_id": "{network}", "qos_policy_id": "{qos_policy}"}}),
    Call("PUT", f"{_N}/address-scopes/{{address_scope}}", {"address_scope": {"name": "taken"}}),
    Call("POST", f"{_N}/subnetpools", {"subnetpool": {"name": "x", "prefixes": ["10.0.0.0/8"],
                                                      "address_scope_id": "{address_scope}"}}),
    Call("POST", f"{_N}/subnets", {"subnet": {"network_id": "{network}", "ip_version": 4,
                                              "subnetpool_id": "{subnet_pool}"}}),
    Call("PUT", f"{_N}/rbac-policies/{{rbac_policy}}", {"rbac_policy": {"target_tenant": "1" * 32}}),
    Call("PUT", f"{_N}/quotas/{{project}}", {"quota": {"network": 1}}),
    *(Call("PUT", f"{_N}/{plural}/{{{noun}}}/tags", {"tags": ["taken"]}) for plural, noun in (
        ("networks", "network"), ("subnets", "subnet"), ("ports", "port"), ("security-groups", "security_group"),
        ("routers", "router"), ("floatingips", "floatingip"), ("subnetpools", "subnet_pool"))),
    # Images
    Call("PATCH", f"{_I}/images/{{image}}", [{"op": "replace", "path": "/name", "value": "taken"}]),
    Call("POST", f"{_I}/images/{{image}}/import", {"method": {"name": "glance-direct"}}),
    Call("POST", f"{_I}/images/{{image}}/members", {"member": "{project}"}),
    Call("PUT", f"{_I}/images/{{image}}/members/{{project}}", {"status": "rejected"}),
    # Identity
    Call("PATCH", f"{_K}/projects/{{project}}", {"project": {"description": "taken"}}),
    Call("PUT", f"{_K}/projects/{{project}}/tags", {"tags": ["taken"]}),
    Call("PATCH", f"{_K}/users/{{user}}", {"user": {"description": "taken"}}),
    Call("PATCH", f"{_K}/groups/{{group}}", {"group": {"description": "taken"}}),
    Call("POST", f"{_K}/users/{{user}}/password", {"user": {"password": "new", "original_password": "guess"}}),
    Call("POST", f"{_K}/users/{{user}}/application_credentials", {"application_credential": {"name": "x"}}),
)
_COLLECTION: Final = re.compile(r"/(servers|volumes|snapshots|backups|images|ports|networks|subnets|attachments|"
                                r"volume-transfers|security-groups|security-group-rules|routers|floatingips|"
                                r"rbac-policies|subnetpools|address-(?:scopes|groups)|qos/policies|os-volumes|os-snapshots|"
                                r"os-security-groups|os-floating-ips)(/detail|/summary)?$")
# Ways to widen a list.
QUERIES: Final = ("", "?all_tenants=1", "?all_projects=1", "?tenant_id={project}", "?project_id={project}",
                  "?user_id={user}", "?volume_id={volume}", "?snapshot_id={snapshot}", "?network_id={network}",
                  "?device_id={server}", "?owner={project}", "?visibility=all", "?server_id={server}",
                  "?security_group_id={security_group}", "?remote_group_id={security_group}", "?id={volume}")


def routes() -> Iterator[tuple[str, str]]:
    """Yield (method, template) of all verbs of all faces."""
    for name in FACES:
        face = importlib.import_module(f"api.openstack.{name}").FACE
        for path, resource in face.routes(mock.MagicMock()):
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                if callable(getattr(resource, f"on_{method.lower()}", None)):
                    yield method, _template(face.prefix + path)


def calls() -> list[Call]:
    """Return every call that names a row of a project, those that destroy last."""
    written = {(call.method, call.path) for call in BODIES}
    found = [Call(method, path) for method, path in routes()
             if re.search(r"\{\w+\}", path) and (method, path) not in written]
    listed = [Call("GET", path + query) for method, path in routes() if method == "GET" and "{" not in path
              for query in (QUERIES if _COLLECTION.search(path) else ("",))]
    return sorted([*listed, *found, *BODIES], key=_destroys)


def _destroys(call: Call) -> int:
    text = f"{call.method} {json.dumps(call.body)}"
    return 2 if "forceDelete" in text or "os-force_delete" in text else int(call.method == "DELETE")


def choices(call: Call, own: Mapping[str, list[str]], foreign: Mapping[str, list[str]],
            linked: Collection[str]) -> Iterator[tuple[Call, frozenset[str]]]:
    """Yield the call filled with mixtures of own and foreign rows, and which ids in it are foreign.

    One noun at a time is foreign, in each of its rows, or all are. The others are an ordinary row of one's own, or a
    `linked` one: a row whose parent or child is the other project's. Of one's own alone only such a row is tried, and
    what reads.
    """
    nouns = [noun for noun in call.nouns if not noun.startswith("own_")]
    plain = {noun: own[noun.removeprefix("own_")][0] for noun in call.nouns}
    bases = [plain, *({**plain, noun: one} for noun in nouns for one in own[noun] if one in linked)]
    for base in bases:
        if call.method == "GET" or base is not plain:
            yield call.filled(base), frozenset()
        for noun in nouns:
            for one in foreign[noun] if base is plain else foreign[noun][:1] + foreign[noun][-1:]:
                yield call.filled({**base, noun: one}), frozenset({one})
    if len(nouns) > 1:
        every = {noun: foreign[noun][0] for noun in nouns}
        yield call.filled({**plain, **every}), frozenset(every.values())
