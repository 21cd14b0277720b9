"""Volumes that claim more than they are: the claim of an extension or of a move that no operation works on."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding
from conductor.audit.repair import Repairs
from hostler.db.models import Volume
from hostler.operations.accept import Target
from hostler.resources.volume import backend_claims


class UnfinishedClaims:
    """Gives the claims back; quota and capacity are sums of them."""

    name = "claims"
    about = "claims on quota and back ends of extensions and moves that nobody works on"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Compare what volumes claim with what they are."""
        rows = session.execute(sa.select(Volume.id, Volume.size_gib, Volume.claimed_gib, Volume.target_backend_id)
                               .where(Volume.deleted_at.is_(None), sa.or_(
                                   Volume.claimed_gib != Volume.size_gib, Volume.target_backend_id.is_not(None)))
                               .order_by(Volume.id))
        return [Finding(self.name, target, f"has {row.size_gib} GiB and claims {row.claimed_gib}"
                        f"{', and a place on another back end' if row.target_backend_id else ''}, "
                        "and no operation works on it", "claim what it has", hold=(target,))
                for row in rows if row.id not in inventory.locked for target in [Target("volume", row.id)]]

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Write the claim."""
        def work(session: orm.Session) -> None:
            volume = session.get_one(Volume, finding.target.id)
            backend_claims.touch(session, {volume.backend_id, volume.target_backend_id})
            volume.claimed_gib, volume.target_backend_id = volume.size_gib, None

        repairs.write(work)
        return "claims what it has"
