"""How pika is told where the broker is, and what its faults mean."""

from __future__ import annotations

import logging

import pika
from pika import exceptions
from pika.adapters.utils import connection_workflow

from messages.transport.amqp_connection import AmqpTimeouts
from messages.transport.ports import BrokerUnavailableError
from messages.transport.tls import away, tls_context, tls_fault
from messages.transport.urls import AmqpUrl

# Our exceptions tell its faults; what it would log of them has no shape, and may quote a message.
logging.getLogger("pika").setLevel(logging.CRITICAL)

_LATE = (TimeoutError, connection_workflow.AMQPConnectorStackTimeout)
_CLOSED = (exceptions.StreamLostError, exceptions.IncompatibleProtocolError)

# The connection stands idle between two batches; the kernel finds out within a minute that its other end has gone.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 4}


def pika_parameters(url: AmqpUrl, timeouts: AmqpTimeouts) -> pika.ConnectionParameters:
    """Return the parameters of a publishing connection: one attempt, no AMQP heartbeats."""
    return pika.ConnectionParameters(
        host=url.host,
        port=url.port,
        virtual_host=url.virtual_host,
        credentials=pika.PlainCredentials(url.user, url.password),
        heartbeat=0,
        connection_attempts=1,
        socket_timeout=timeouts.connect.total_seconds(),
        stack_timeout=timeouts.connect.total_seconds(),
        ssl_options=_tls_options(url) if url.tls else None,
        tcp_options=_KEEP_ALIVE,
    )


def _tls_options(url: AmqpUrl) -> pika.SSLOptions:
    return pika.SSLOptions(tls_context(url), url.host)


def explain(url: AmqpUrl, fault: BaseException | None) -> BrokerUnavailableError:
    """Return ``fault`` in words; None means that time ran out."""
    cause = _innermost(fault)
    if cause is None or isinstance(cause, _LATE):
        words = "does not answer in time"
    elif tls := tls_fault(cause):
        words = tls
    elif isinstance(cause, exceptions.ProbableAuthenticationError | exceptions.AuthenticationError):
        words = f"refuses us: check user, password and permissions ({cause})"
    elif isinstance(cause, exceptions.ProbableAccessDeniedError):
        words = f"does not let us in: check the virtual host and the user's permissions on it ({cause})"
    elif isinstance(cause, exceptions.ConnectionClosed | exceptions.ChannelClosed):
        words = f"closed the connection: {cause.reply_text}"
    else:
        words = away(url, cause, closed=isinstance(cause, _CLOSED))
    return BrokerUnavailableError(f"{url.shown} {words}")


def _innermost(fault: BaseException | None) -> BaseException | None:
    """Return what pika's layers of connecting wrap, the last attempt's."""
    while True:
        if isinstance(fault, connection_workflow.AMQPConnectionWorkflowFailed) and fault.exceptions:
            fault = fault.exceptions[-1]
        elif isinstance(fault, connection_workflow.AMQPConnectorPhaseErrorBase):
            fault = fault.exception
        elif isinstance(fault, exceptions.AMQPConnectionError) and fault.args and isinstance(fault.args[0], Exception):
            fault = fault.args[0]
        else:
            return fault
