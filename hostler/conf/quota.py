"""Default quotas of a project; -1 is unlimited."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "quota"

OPTS = [
    cfg.IntOpt("instances", default=10, min=-1, help="Servers of one project."),
    cfg.IntOpt("cores", default=20, min=-1, help="Virtual processors of one project."),
    cfg.IntOpt("ram", default=51200, min=-1, help="Memory of one project, MiB."),
    cfg.IntOpt("metadata_items", default=128, min=-1,
               help="Metadata items of one server, volume, snapshot or backup; image metadata items of one volume."),
    cfg.IntOpt("key_pairs", default=100, min=-1, help="Key pairs of one user."),
    cfg.IntOpt("application_credentials", default=100, min=-1, help="Application credentials of one user."),
    cfg.IntOpt("server_groups", default=10, min=-1, help="Server groups of one project."),
    cfg.IntOpt("server_group_members", default=10, min=-1, help="Servers of one server group."),
    cfg.IntOpt("networks", default=100, min=-1, help="Networks of one project."),
    cfg.IntOpt("subnets", default=100, min=-1, help="Subnets of one project."),
    cfg.IntOpt("ports", default=500, min=-1, help="Ports of one project."),
    cfg.IntOpt("security_groups", default=10, min=-1, help="Security groups of one project."),
    cfg.IntOpt("security_group_rules", default=100, min=-1, help="Security group rules of one project."),
    cfg.IntOpt("routers", default=10, min=-1, help="Routers of one project."),
    cfg.IntOpt("floatingips", default=50, min=-1, help="Floating IPs of one project."),
    cfg.IntOpt("subnetpools", default=100, min=-1, help="Subnet pools of one project."),
    cfg.IntOpt("address_scopes", default=100, min=-1, help="Address scopes of one project."),
    cfg.IntOpt("address_groups", default=100, min=-1, help="Address groups of one project."),
    cfg.IntOpt("qos_policies", default=100, min=-1, help="QoS policies of one project."),
    cfg.IntOpt("rbac_policies", default=10, min=-1, help="RBAC policies of one project."),
    cfg.IntOpt("volumes", default=10, min=-1, help="Volumes of one project."),
    cfg.IntOpt("gigabytes", default=1000, min=-1, help="Sizes of the volumes and snapshots of one project, GiB."),
    cfg.IntOpt("snapshots", default=10, min=-1, help="Volume snapshots of one project."),
    cfg.IntOpt("backups", default=10, min=-1, help="Volume backups of one project."),
    cfg.IntOpt("backup_gigabytes", default=1000, min=-1, help="Sizes of the volume backups of one project, GiB."),
    cfg.IntOpt("per_volume_gigabytes", default=-1, min=-1, help="Size of one volume, GiB."),
    cfg.IntOpt("volume_attachments", default=64, min=-1,
               help="Attachments that the Block Storage API makes for one volume; those of servers are bounded by the "
                    "number of servers."),
    cfg.IntOpt("images", default=100, min=-1, help="Images of one project."),
    cfg.IntOpt("image_size_total", default=1048576, min=-1, help="Sizes of the images of one project, MiB."),
    cfg.IntOpt("image_count_uploading", default=20, min=-1,
               help="Images of one project whose data is being uploaded, staged or imported."),
]
