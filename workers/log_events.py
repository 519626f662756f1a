"""Every event that a log line can name, and what it means. ``docs/logs.schema.json`` says which fields each carries."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

LOG_EVENTS: Mapping[str, str] = MappingProxyType(
    {
        "arrival.matched": "A record that was not coupled was compared with the other side's.",
        "batch.committed": "A batch of messages was handled, committed and acknowledged; one line per batch.",
        "batch.failed": "A message whose handling failed in Recouple itself went to the dead queue; others went on.",
        "broker.away": "The broker still does not answer; said about once a minute.",
        "broker.back": "The broker answers again.",
        "broker.lost": "The broker does not answer; the worker tries again by itself.",
        "change.dead": "A message could not be taken and went to the dead queue.",
        "change.decided": "A change, outcome or command was decided on for one record; one line per decision.",
        "command.done": "An operator's command was carried out.",
        "command.refused": "An operator's command was refused; nothing happened.",
        "endpoint.failed": "A page of the worker's own HTTP endpoint could not be made; a fault to report.",
        "endpoint.opened": "The worker answers at its own HTTP endpoint, as RECOUPLE_HTTP says.",
        "error.opened": "Two records disagree, or an app failed; somebody has to look at it.",
        "error.resolved": "An error is over.",
        "error.updated": "What an operator would see of an error has changed.",
        "instruction.confirmed": "An app applied an instruction.",
        "instruction.failed": "An app did not do what it was instructed to do.",
        "instruction.retried": "An instruction goes out again, because the app was away.",
        "instruction.sent": "An app was instructed.",
        "job.finished": "A job is over and its command answered; the counters say what it came to.",
        "job.progressed": "A chunk of a job was done; one line per chunk, at debug.",
        "job.started": "The first chunk of a job was done.",
        "library.warned": "A library that we use warns; its words are left out, they may hold field values.",
        "message.condemned": "Processes died over one message, and it went to the dead queue; a fault to report.",
        "message.locked": "Another transaction holds a row that a message needs: it is tried again, others go first.",
        "message.suspected": "Messages that came before, as after a death, are handled apart; or one of them alone.",
        "pause.ended": "An app or a mapping goes on: what was held up meanwhile is decided now.",
        "pause.set": "An app or a mapping is paused, by an operator or by the mapping's own limit.",
        "relay.published": "Messages that a transaction left in the outbox were published and confirmed.",
        "relay.returned": "The broker did not keep messages of the outbox; they stay there and are tried again.",
        "retention.purged": "What is older than the settings say was deleted; one line per round, about once an hour.",
        "store.away": "The store still does not answer; said about once a minute.",
        "store.back": "The store answers again.",
        "store.lost": "The store does not answer; the worker tries again by itself.",
        "work.due": "Work whose time had come was taken up: a missing answer, a retry, a record that waited.",
        "work.failed": "Work that was due failed in Recouple itself: it is put off, the others went on.",
        "work.slow": "Work that was due takes the database too long: less at once is done, or what is alone put off.",
        "work.suspected": "Work that was begun and not finished, as after a death, is done alone; one line each.",
        "worker.exposed": "Broker or store on another host is reached without encryption, or whoever it is.",
        "worker.failed": "A worker stops because of a fault in Recouple itself; a fault to report.",
        "worker.started": "A worker is ready for messages.",
        "worker.stopped": "A worker has stopped.",
        "worker.stopping": "A worker was told to stop and finishes its batch.",
        "worker.stuck": "A loop gives no sign of life, and the worker ends itself; the stack says where it hangs.",
    }
)
