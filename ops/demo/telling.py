"""How the demo is told on a terminal, or in a file: lines and small tables, with colours only where they are seen."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ops.demo.agreement import Agreement
from ops.demo.closing import Report, Told
from ops.demo.stage import Logged, Scene
from ops.demo.world import Advance
from ops.printing import UNKNOWN, counted, make_table, plain, say, value_text

_SHOWN = 5
"""Messages of a queue that are told of; there is one in the dead queue where all is as it should be."""


class Teller:
    """Tells the story on one console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        unicode = console.encoding.lower().replace("-", "").startswith("utf")
        self._yes, self._no = ("✓", "✗") if unicode else ("ok", "NOT OK")

    def heading(self, text: str) -> None:
        """Begin a part."""
        self._console.print()
        say(self._console, text, "bold")

    def line(self, text: str, style: str = "") -> None:
        """Say one thing."""
        say(self._console, text, style)

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Advance]:
        """Show a bar while a person watches, and how far it has come."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        watched = self._console.is_terminal and not self._console.quiet
        with Progress(*columns, console=self._console, transient=True, disable=not watched) as bar:
            task = bar.add_task(label, total=total)
            yield lambda done: bar.update(task, completed=done)

    def scene(self, number: int, scene: Scene) -> None:
        """Tell what people did in one scene, and what both sides hold since."""
        self.heading(f"{number:>2}  {scene.title}")
        self._indented(plain(scene.story))
        for order in scene.orders:
            self._indented(plain(f"$ {order.line}   # {order.answer}", "cyan"))
        if scene.moved:
            table = make_table("record", "field", "before", "after", "by")
            table.columns[0].no_wrap = True
            for moved in scene.moved:
                values = (value_text(moved.before), value_text(moved.after))
                table.add_row(*map(plain, (moved.record, moved.field or "(the record)", *values, moved.by)))
            self._indented(table)
        self._indented(plain(f"in the log: {'; '.join(map(_logged, scene.log))}", "dim"))
        held = [check.sentence for check in scene.checks if check.holds]
        if held:
            self._indented(plain(f"{self._yes} {'; '.join(held)}", "green"))
        for check in scene.checks:
            if not check.holds:
                self._indented(plain(f"{self._no} not so: {check.sentence}", "bold red"))

    def closing(self, report: Report) -> None:
        """Tell how the day ended."""
        self.heading("What happened")
        self._scenes(report)
        self.heading("The synchronization log, lines by outcome")
        self._indented(plain(", ".join(f"{outcome} {lines:,}" for outcome, lines in report.log.items())))
        self.heading(f"The dead queue: {counted(len(report.dead), 'message')}")
        for dead in report.dead[:_SHOWN]:
            self._indented(plain(f"{dead.reason} at {dead.field}, from {dead.queue}: {dead.detail}"))
        self.heading(f"The error queue: {counted(len(report.errors), 'message')}, looked at and left there; the first")
        for told in report.errors[:1]:
            self._error(told)
        self.heading("Who settled what")
        self._audit(report)
        self.heading("Both sides, compared field by field")
        for agreement in report.agreement:
            self._agreement(agreement)
        self._verdict(report)

    def further(self, environ: Mapping[str, str]) -> None:
        """Say how to look further into what was kept."""
        self.heading("To look further")
        for name, text in environ.items():
            self.line(f"export {name}={shlex.quote(text)}")
        self.line("recouple errors --all")
        self.line("recouple show 1")
        self.line("recouple log sales/account/A0004")

    def _scenes(self, report: Report) -> None:
        table = make_table("", "scene", "as it should be")
        for number, scene in enumerate(report.scenes, start=1):
            held = sum(check.holds for check in scene.checks)
            mark, style = (self._yes, "green") if scene.as_it_should else (self._no, "bold red")
            told = plain(f"{mark} {held} of {len(scene.checks)}", style)
            table.add_row(plain(number), plain(scene.title), told)
        self._console.print(table)

    def _error(self, told: Told) -> None:
        error = told.error
        self.line(f"Error {error.error}, {error.kind}, {told.event}: {error.title}", "yellow")
        self._indented(plain(error.detail))
        apps = [UNKNOWN if side is None else side.app for side in (error.left, error.right)]
        table = make_table("field", "when last in step", *apps, "contested")
        for difference in error.differences:
            values = (difference.base, difference.left, difference.right)
            contested = "yes" if difference.contested else "no"
            table.add_row(plain(difference.field), *(plain(value_text(value)) for value in values), plain(contested))
        if error.differences:
            self._indented(table)
        if error.actions:
            self._indented(plain(f"what a person can do: {', '.join(error.actions)}", "dim"))

    def _audit(self, report: Report) -> None:
        table = make_table("error", "kind", "command", "by", "because")
        for one in report.audit:
            table.add_row(*map(plain, (one.error, one.kind, one.command, one.by, one.reason or "")))
        self._console.print(table)

    def _agreement(self, agreement: Agreement) -> None:
        in_step = agreement.couplings - len(agreement.apart)
        self.line(f"{agreement.mapping}: {in_step} of {agreement.couplings} coupled records in step")
        for apart in agreement.apart:
            why = f"{', '.join(apart.gone)} is gone" if apart.gone else f"differ in {', '.join(apart.fields)}"
            self._indented(plain(f"{apart.left} and {apart.right}: {why}"))

    def _verdict(self, report: Report) -> None:
        self._console.print()
        for fault in report.faults:
            self.line(f"{self._no} {fault}", "bold red")
        if report.as_it_should:
            self.line(f"{self._yes} All is as it should be, after {report.duration_ms / 1000:.1f} s.", "bold green")

    def _indented(self, renderable: RenderableType) -> None:
        self._console.print(Padding.indent(renderable, 4))


def _logged(logged: Logged) -> str:
    return f"{logged.record} {', '.join(logged.outcomes) or 'nothing'}"
