"""A broker's place in a cluster of several: what it is told that a single one need not know."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Membership:
    """`voters`: the controller port of each node, by its id. `port`: where this node listens for clients."""

    node_id: int
    cluster_id: str
    voters: Mapping[int, int]
    port: int

    @property
    def controller_port(self) -> int:
        """Where this node's controller listens."""
        return self.voters[self.node_id]

    @property
    def properties(self) -> dict[str, str]:
        """What differs from a node on its own."""
        copies, in_sync = min(3, len(self.voters)), min(2, len(self.voters))
        return {
            "node.id": str(self.node_id),
            "controller.quorum.voters": ",".join(f"{node}@127.0.0.1:{port}" for node, port in self.voters.items()),
            "default.replication.factor": str(copies),
            "min.insync.replicas": str(in_sync),
            "offsets.topic.replication.factor": str(copies),
            "transaction.state.log.replication.factor": str(copies),
            "transaction.state.log.min.isr": str(in_sync),
            "share.coordinator.state.topic.replication.factor": str(copies),
            "share.coordinator.state.topic.min.isr": str(in_sync),
            # One that lost the end of its log must not lead.
            "unclean.leader.election.enable": "false",
            # A follower that is gone is out of the set after this long; until then a write waits for it.
            "replica.lag.time.max.ms": "3000",
            "controller.quorum.election.timeout.ms": "1000",
            "controller.quorum.fetch.timeout.ms": "1500",
        }


def new_cluster_id() -> str:
    """Return an id as Kafka makes them; it takes none that begins with a dash, hence the zero."""
    return base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
