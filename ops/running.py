"""``recouple setup``, ``work`` and ``demo``: what makes Recouple run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.options import AsJson
from ops.printing import counted, make_console, say
from ops.wiring import session
from workers import bootstrap
from workers.bootstrap import Role, SetupReport, WorkPlan
from workers.mapping_file import load_mapping_file
from workers.settings import Settings
from workers.spelling import did_you_mean


def setup(*, as_json: AsJson = False) -> None:
    """Migrate the store, declare exchanges and queues, check the mapping file.

    Repeating it changes nothing. Run it after each change to the mapping file and each new version.
    """
    with session(as_json=as_json) as current:
        current.open_store().close()
        report = bootstrap.setup(current.settings)
        if as_json:
            current.write_json(report)
        else:
            for sentence in _told(report):
                say(current.out, sentence)


def work(
    *,
    app: Annotated[list[str] | None, typer.Option(help="Only the changes of this app; may be repeated.")] = None,
    role: Annotated[list[Role] | None, typer.Option(help="Only this job; may be repeated. All by default.")] = None,
    processes: Annotated[int, typer.Option(min=1, max=256, help="So many workers side by side.")] = 1,
    drain: Annotated[
        bool, typer.Option("--drain", help="Stop when queues, outbox and work due now are empty.")
    ] = False,
) -> None:
    """Work: take changes and commands, decide, instruct. Logs to stdout; SIGTERM or Ctrl-C ends it in good order."""
    with session(as_json=False) as current:
        current.open_store().close()
        apps = tuple(app or ())
        _check_apps(current.settings, apps)
        plan = WorkPlan(apps=apps, roles=tuple(role or Role), processes=processes, drain=drain)
        raise typer.Exit(bootstrap.work(current.settings, plan))


def demo(
    *,
    keep: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep everything in this new or empty folder, to look at.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the whole story on the embedded store and broker, in a temporary folder; nothing is needed, nothing left."""
    from ops.demo.story import run  # noqa: PLC0415 - nothing else needs it

    raise typer.Exit(run(make_console(), keep=keep, as_json=as_json))


def _told(report: SetupReport) -> list[str]:
    return [
        f"The store {report.store} is at revision {report.revision}.",
        f"The broker {report.broker} has {counted(len(report.declared), 'queue')}: {', '.join(report.declared)}.",
        f"The mapping file is in order: {counted(len(report.mappings), 'mapping')}, {', '.join(report.mappings)}.",
    ]


def _check_apps(settings: Settings, apps: tuple[str, ...]) -> None:
    known = load_mapping_file(settings.config).apps
    for app in apps:
        if app not in known:
            words = f"{app!r} is no app of the mapping file{did_you_mean(app, known)}; there are {', '.join(known)}"
            raise typer.BadParameter(words, param_hint="--app")
