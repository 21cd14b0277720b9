"""Options of the compute agent."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "compute"

OPTS = [
    cfg.StrOpt("driver", default="libvirt", choices=["libvirt", "fake"],
               help="Hypervisor driver: libvirt, or fake (no guests; for tests and scale trials)."),
    cfg.StrOpt("availability_zone", default="nova", help="Zone this host joins when it registers for the first time."),
    cfg.HostAddressOpt("my_ip", default="127.0.0.1", help="This host's address, shown to administrators."),
    cfg.IPOpt("tunnel_ip", version=4, sample_default="my_ip",
              help="IPv4 address of this host at which other hosts reach it with the frames of VXLAN networks (UDP "
                   "port 4789). my_ip when empty."),
    cfg.FloatOpt("cpu_allocation_ratio", default=4.0, min=0.1, help="Virtual processors offered per real one."),
    cfg.FloatOpt("ram_allocation_ratio", default=1.0, min=0.1, help="Memory offered per MiB of real memory."),
    cfg.FloatOpt("disk_allocation_ratio", default=1.0, min=0.1, help="Disk offered per GiB of real disk."),
    cfg.IntOpt("reserved_ram_mib", default=512, min=0, help="Memory kept for the host itself, MiB."),
    cfg.IntOpt("reserved_disk_gib", default=1, min=0, help="Disk kept for the host itself, GiB."),
    cfg.IntOpt("shutdown_timeout", default=60, min=0,
               help="Seconds a guest gets to shut down after the power button before it is switched off."),
    cfg.StrOpt("rescue_image",
               help="Id of the image that servers are rescued with when the request names none. Empty: their own. Read "
                    "by the api."),
    cfg.IntOpt("interface_detach_timeout", default=20, min=0,
               help="Seconds a running guest gets to let go of an interface; one that does not keeps it."),
    cfg.StrOpt("deletion_policy", default="direct", choices=["direct", "delay", "never"],
               help="What a request to delete a server does. direct: it is deleted at once. delay: it is switched off "
                    "and kept for expunge_period, during which it can be restored. never: as delay, until it is "
                    "deleted by force. Read by api and conductor."),
    cfg.IntOpt("expunge_period", default=86400, min=1,
               help="Seconds after which a server in the trash is deleted for good, unless deletion_policy is never. "
                    "Read by the conductor."),
    cfg.IntOpt("shelved_offload_time", default=0, min=-1,
               help="Seconds after which a shelved server leaves its host, to be an image (or volumes) alone. 0: at "
                    "once; -1: never by itself. Servers that boot from a volume leave at once. Read by api and "
                    "conductor."),
    cfg.IntOpt("max_concurrent_builds", default=10, min=1, help="Servers built at the same time on this host."),
    cfg.IntOpt("max_concurrent_snapshots", default=5, min=1,
               help="Servers of this host whose disks are copied and sent to the image store at the same time; others "
                    "wait. Each copy takes as much room in the state directory as the disk holds."),
    cfg.IntOpt("image_cache_gib", default=50, min=1,
               help="Size to which unused images in the agent's cache are trimmed, GiB."),
    cfg.IntOpt("image_cache_min_age", default=3600, min=0,
               help="Seconds for which an image stays in the cache after its last use, whatever the cache's size."),
    cfg.IntOpt("reconcile_interval", default=180, min=1,
               help="Seconds between two comparisons of what runs here with what the conductor says should."),
    cfg.MultiStrOpt("volume_shares", default=[],
                    help="Directory of a file back end that this host sees, too (shared or the same machine's): its "
                         "volumes are attached as files. May be given several times. Empty: all directories in "
                         "<state_path>/volumes."),
    cfg.BoolOpt("nbd_tls", default=False,
                help="QEMU on this host has a client certificate (nbd_tls_x509_cert_dir in qemu.conf) whose common "
                     "name is this host's name: volumes are exported to it encrypted."),
    cfg.IntOpt("self_fence_after", default=0, min=0,
               help="Seconds without an answer of a conductor after which this host's watchdog kills the guests whose "
                    "disks other hosts can open (volumes, a shared directory of servers); guests with local disks "
                    "alone go on. So servers can be evacuated without anybody's word that the host is off. Well above "
                    "the longest outage of the control plane that such guests are to survive; the agent's restarts "
                    "count, too. 0: never."),
    cfg.StrOpt("watchdog_device", sample_default="/dev/watchdog",
               help="Watchdog device that resets this machine when its watchdog cannot work any more (with "
                    "self_fence_after). None: no device."),
    cfg.StrOpt("fence_command",
               help="Command with which conductors switch a silent host off before its servers are evacuated, with "
                    "{host} where its name belongs; e.g. /etc/hostler/fence {host}. Status 0 promises that the host "
                    "runs nothing any more."),
    cfg.IntOpt("fence_timeout", default=60, min=1, help="Seconds fence_command may take."),
    cfg.IntOpt("console_log_kib", default=1024, min=16,
               help="Size to which a server's console log is cut, KiB."),
    cfg.StrOpt("tls_dir",
               help="Directory of this host's certificates (hostler-manage pki issue, with the host's name): disks of "
                    "servers travel between hosts over TLS with them. Not set: servers that have disks of their own "
                    "change their flavor on this host, and neither leave it nor come to it."),
    cfg.PortOpt("transfer_port", default=8789, help="TCP port on my_ip where other hosts fetch disks of servers."),
    cfg.BoolOpt("allow_resize_to_same_host", default=True,
                help="A resize may stay on the server's host, if the scheduler chooses it. Read by the conductor."),
    cfg.IntOpt("resize_confirm_window", default=0, min=0,
               help="Seconds after which a resize or cold migration that nobody confirmed or reverted is confirmed; 0: "
                    "never. Read by the conductor."),
    cfg.IntOpt("graceful_stop_timeout", default=30, min=0,
               help="Seconds a stopping agent waits for the calls it is working on; what is left is resumed by the "
                    "conductors."),
]
