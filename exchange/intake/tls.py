"""TLS of our own listeners: one certificate for HTTP and MLLP, and senders known by theirs."""

import ssl
from collections.abc import Mapping

from exchange.config import Settings
from exchange.errors import Refused


def server_context(settings: Settings, *, for_mllp: bool = False) -> ssl.SSLContext | None:
    """The context of a listener, TLS 1.2 or newer; None without `WARDPOST_TLS_CERT`. For MLLP with `WARDPOST_MLLP_CLIENT_CA` every
    sender has to show a certificate of that authority. Raises Refused `tls`."""
    if settings.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key or settings.tls_cert)
        if for_mllp and settings.mllp_client_ca is not None:
            context.load_verify_locations(settings.mllp_client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as problem:
        step = "Look at WARDPOST_TLS_CERT, WARDPOST_TLS_KEY and WARDPOST_MLLP_CLIENT_CA: PEM files, key without a passphrase."
        raise Refused("tls", f"A certificate or key cannot be used ({type(problem).__name__}).", next_step=step) from None
    return context


def names_of(certificate: Mapping[str, object] | None) -> set[str]:
    """The DNS names and common names of a peer's certificate, as `SSLSocket.getpeercert` gives it."""
    if not certificate:
        return set()
    subject = certificate.get("subject") or ()
    also = certificate.get("subjectAltName") or ()
    assert isinstance(subject, tuple)
    assert isinstance(also, tuple)
    common = {value for group in subject for kind, value in group if kind == "commonName"}
    return common | {value for kind, value in also if kind == "DNS"}
