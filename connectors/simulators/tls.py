"""A throw-away certificate authority with a server's and a client's certificate, so that TLS is the real thing."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Long enough for any run, short enough that nobody relies on it.
LIFETIME = datetime.timedelta(days=30)
# Two machines or containers that share the files may disagree by minutes.
CLOCK_SKEW = datetime.timedelta(hours=1)
FILE_NAMES = ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")
LOOPBACK = "127.0.0.1"
LOOPBACK_NAMES: tuple[x509.GeneralName, ...] = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address(LOOPBACK)),
    x509.IPAddress(ipaddress.ip_address("::1")),
)


@dataclass(frozen=True, slots=True)
class Authority:
    """Paths of PEM files: whom both sides trust, what the server shows and signs with, and the same for a client.

    `host`: the name that clients know the server by.
    """

    ca_file: Path
    cert_file: Path
    key_file: Path
    client_cert_file: Path
    client_key_file: Path
    host: str = LOOPBACK


def make_authority(directory: Path, host: str = LOOPBACK) -> Authority:
    """Write a new CA certificate, and what it signed: a server's for `localhost`, 127.0.0.1 and ::1, and a client's.

    `host`: a name that the server is known by besides. The CA's own key is never written. The other keys are readable
    by their owner only.
    """
    directory.mkdir(parents=True, exist_ok=True)
    ca_file, cert_file, key_file, client_cert_file, client_key_file = (directory / name for name in FILE_NAMES)
    authority = Authority(ca_file, cert_file, key_file, client_cert_file, client_key_file, host)
    names = LOOPBACK_NAMES if host == LOOPBACK else (*LOOPBACK_NAMES, x509.DNSName(host))
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "throw-away authority")])
    ca_certificate = (
        _builder(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    authority.ca_file.write_bytes(ca_certificate.public_bytes(serialization.Encoding.PEM))

    def issue(name: str, usage: x509.ObjectIdentifier, cert_file: Path, key_file: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), ca_name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        write_private_key(key_file, key)

    issue("localhost", ExtendedKeyUsageOID.SERVER_AUTH, authority.cert_file, authority.key_file)
    issue("client", ExtendedKeyUsageOID.CLIENT_AUTH, authority.client_cert_file, authority.client_key_file)
    return authority


def private_key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS#8, PEM, unencrypted: the form in which Apple issues its .p8 files."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_private_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Write `key` as PKCS#8 PEM, readable by its owner only."""
    path.touch(mode=0o600)
    path.write_bytes(private_key_pem(key))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
    )


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
