"""What the user sees while a stage works: a progress bar on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

#: One plain line every so many seconds is enough to see in a log that something moves.
PLAIN_INTERVAL_S: Final = 10.0


@dataclass(slots=True, kw_only=True)
class Step:
    """One stretch of work with a known number of parts."""

    title: str
    total: int
    console: Console
    bar: Progress | None
    done: int = 0
    started: float = field(default_factory=monotonic)
    last_line: float = field(default_factory=monotonic)

    def note(self, detail: str) -> None:
        """Shows what the part under way has come to, on a terminal."""
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], detail=detail)

    def advance(self) -> None:
        """One more part is done."""
        self.done += 1
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=self.done)
        elif monotonic() - self.last_line >= PLAIN_INTERVAL_S:
            self.last_line = monotonic()
            self.console.print(f"  {self.title}: {self.done} of {self.total}", highlight=False)


@contextmanager
def step(console: Console, title: str, total: int) -> Iterator[Step]:
    """Shows `title` and its progress until the block ends, and then how long it took."""
    if console.is_terminal:
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}"),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            bar.add_task(title, total=total, detail="")
            shown = Step(title=title, total=total, console=console, bar=bar)
            yield shown
    else:
        shown = Step(title=title, total=total, console=console, bar=None)
        yield shown
    console.print(f"  {title}: {shown.done} in {monotonic() - shown.started:.0f} s", highlight=False, markup=False)
