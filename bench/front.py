"""What a request costs: a version document, a server, 1,000 servers: `python bench/front.py [--against COMMIT]`.

`python bench/front.py --cloud all-in-one --count 400 --against 11a0424^` compares with cheroot, the front before
decision 0016.
"""

from __future__ import annotations

import measure

measure.use_checkout()

import clouds  # noqa: E402
import servers  # noqa: E402


def versions(cloud: clouds.Measured, count: int, clients: int) -> None:
    """Measure GET /identity/v3, which hardly does more than pass through the front."""
    measure.in_parallel(lambda _: cloud.own_client().get("/identity/v3"), 4 * clients, clients)
    with cloud.meter.spending() as spent:
        latencies = measure.in_parallel(lambda _: cloud.own_client().get("/identity/v3"), count, clients)
    measure.rate(f"versions/{cloud.name}/{clients}_clients", count, spent, latencies)


def run(name: str, count: int) -> None:
    """Measure one cloud."""
    with clouds.CLOUDS[name]() as cloud:
        for clients in (1, 16):
            versions(cloud, count, clients)
        image = cloud.client.make_image()
        servers.show(cloud, image, count)
        servers.store_servers(cloud, 1000)
        servers.list_detail(cloud, 1000)
        cloud.database.dispose()


if __name__ == "__main__":
    clouds.measure_each(__doc__, run)
