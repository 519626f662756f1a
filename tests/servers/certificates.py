"""Certificates for servers of the tests' own, of an authority that nobody else trusts."""

from __future__ import annotations

from pathlib import Path

import trustme

from tests.servers.server import Tls


def loopback_tls(folder: Path) -> Tls:
    """Write the certificate of a server on 127.0.0.1, its key and its authority into ``folder``."""
    tls, authority = Tls(folder / "certificate.pem", folder / "key.pem", folder / "authority.pem"), trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tls.certificate)
    certificate.private_key_pem.write_to_path(tls.key)
    authority.cert_pem.write_to_path(tls.authority)
    return tls
