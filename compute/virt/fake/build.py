"""Puts the fake host together."""

from __future__ import annotations

from oslo_config import cfg

from compute.layout import Layout
from compute.leader_watch import LeaderWatch
from compute.toolbox import Toolbox
from compute.virt.fake.driver import FakeDriver
from compute.virt.fake.network import FakeEcho, FakeNetworkPlumbing
from compute.virt.fake.storage import FakeConnections, FakeDisks, FakeImageCache, FakeTransfer
from hostler.agent.faults import Faults


def build(conf: cfg.ConfigOpts, layout: Layout) -> Toolbox:
    """Return fake parts that share one set of faults; orders are read from `<state>/compute/fake/faults.json`."""
    directory = layout.root / "fake"
    directory.mkdir(parents=True, exist_ok=True)
    faults = Faults(directory / "faults.json")
    driver = FakeDriver(conf.host, directory=directory / "domains" if conf.fake.persistent else None, faults=faults,
                        vcpus=conf.fake.vcpus, ram_mib=conf.fake.ram_mib, disk_gib=conf.fake.disk_gib,
                        max_volumes=conf.fake.max_volumes, migration_s=conf.fake.migration_seconds)
    network = FakeNetworkPlumbing(faults, tuple(conf.network.bridge_mappings), conf.host,
                                  LeaderWatch.of(conf, FakeEcho()))
    return Toolbox(driver=driver, network=network, images=FakeImageCache(layout.images, faults),
                   disks=FakeDisks(layout, faults), tap_name=lambda port_id: f"ft{port_id[:11]}",
                   checkpoint=faults.reach, connections=FakeConnections(conf.host, conf.compute.my_ip, faults),
                   transfer=FakeTransfer(conf.host, faults))
