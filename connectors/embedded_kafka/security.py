"""Secured listeners of the embedded broker: what a real cluster asks of its clients, on one machine.

TLS stores are PEM files (KIP-651). SASL users are made when the broker's data is laid out: SCRAM in the metadata log
(KIP-900), PLAIN in the listener's own configuration. Everything else of the broker stays as it is without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Protocol = Literal["SSL", "SASL_PLAINTEXT", "SASL_SSL"]
# A listener is named by its protocol: then one name serves in all of the broker's settings.
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
_LOGIN = "org.apache.kafka.common.security"


@dataclass(frozen=True, slots=True)
class Security:
    """One listener for each protocol. SSL demands a client certificate by an authority in `ca_file`; the two with SASL
    take `user` with `password` by SCRAM-SHA-512 and by PLAIN. Paths are PEM files.

    The password is on the command line of the tool that lays out the broker's data: not for secrets that matter.
    """

    ca_file: Path
    cert_file: Path
    key_file: Path
    user: str
    password: str

    def write_properties(self, directory: Path) -> dict[str, str]:
        """Write the key store into `directory` and return what the broker's settings need beside its listeners."""
        key_store = directory / "key-store.pem"
        key_store.touch(mode=0o600)
        key_store.write_bytes(self.key_file.read_bytes() + self.cert_file.read_bytes())
        properties = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(key_store.absolute()),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca_file.absolute()),
            "listener.name.ssl.ssl.client.auth": "required",
        }
        for name in ("sasl_plaintext", "sasl_ssl"):
            own = f"listener.name.{name}"
            properties |= {
                f"{own}.sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
                f"{own}.scram-sha-512.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;",
                f"{own}.plain.sasl.jaas.config": (
                    f'{_LOGIN}.plain.PlainLoginModule required user_{self.user}="{self.password}";'
                ),
            }
        return properties

    def format_arguments(self) -> list[str]:
        """What `StorageTool format` is told beside the rest."""
        return ["--add-scram", f"SCRAM-SHA-512=[name={self.user},password={self.password}]"]
