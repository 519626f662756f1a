"""TLS to RabbitMQ: whom to trust, and its faults in words."""

from __future__ import annotations

import ssl

from messages.transport.ports import BrokerUnavailableError
from messages.transport.urls import AmqpUrl


def tls_context(url: AmqpUrl) -> ssl.SSLContext:
    """Return what verifies the broker's certificate and name, and shows ours where the URL names one.

    Raises:
        BrokerUnavailableError: a file that the URL names cannot be used; it may come, as secrets do that are mounted.
    """
    try:
        context = ssl.create_default_context(cafile=url.cacertfile)
    except (OSError, ssl.SSLError) as error:
        raise _unusable(url, "cacertfile", error) from error
    if url.certfile is not None:
        try:
            context.load_cert_chain(url.certfile, url.keyfile)
        except (OSError, ssl.SSLError) as error:
            raise _unusable(url, "certfile and keyfile", error) from error
    return context


def tls_fault(error: BaseException) -> str | None:
    """Return what ``error`` says of TLS, to follow the broker's URL; ``None`` where it is about something else."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"is not trusted: its certificate cannot be verified ({error.verify_message}); check cacertfile, and that "
            "the URL names the host as the certificate does"
        )
    if isinstance(error, ssl.SSLError):
        said = error.reason or type(error).__name__
        return f"ends TLS ({said}); check that this port speaks TLS, and which certificate it wants of us"
    return None


def away(url: AmqpUrl, error: BaseException, *, closed: bool) -> str:
    """Return what follows the URL of a broker that is away; one that closes (``closed``) may have expected more TLS."""
    hint = ""
    if closed and not url.tls:
        hint = "; if this port speaks TLS, the URL begins with amqps://"
    elif closed and url.certfile is None:
        hint = "; if it wants a certificate of us, the URL names certfile and keyfile"
    return f"is away: {str(error) or type(error).__name__}{hint}"


def _unusable(url: AmqpUrl, what: str, error: OSError) -> BrokerUnavailableError:
    said = error.strerror if not isinstance(error, ssl.SSLError) else error.reason
    return BrokerUnavailableError(f"{url.shown}: {what} cannot be used ({said or 'it holds no certificate'})")
