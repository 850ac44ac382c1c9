"""What all verbs share: the application, their options, progress bars, and how results are printed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from curate.core.errors import CurateError

app = typer.Typer(
    help="Turn raw, biased, noisy collections of face identities into data to train on and be judged by.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
)  # fmt: skip
console = Console(soft_wrap=True, emoji=False)

RecipeName = Annotated[
    str, typer.Argument(help="A recipe file, the name of a bundled one such as demo, or a run folder to go on with.")
]
SourceName = Annotated[str, typer.Argument(help="A folder (identity/image.jpg), a manifest, or the word synthetic.")]
Overrides = Annotated[list[str], typer.Option("--set", help="KEY=VALUE, such as source.root=faces; repeatable.")]
Out = Annotated[Path | None, typer.Option("--out", help="The run folder; default runs/NAME.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes; default: one per core.")]
Engine = Annotated[str, typer.Option("--engine", help="local or ray (RAY_ADDRESS names a cluster).")]
Cache = Annotated[Path | None, typer.Option("--cache", help="Folder of cached features; default ~/.cache/curate.")]
Labels = Annotated[str | None, typer.Option("--labels", help="identity,gender,...; default: all that are declared.")]
RunFolderArgument = Annotated[Path, typer.Argument(help="A run folder.")]

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Bars:
    """A line per finished step, and a bar while features or the tiles of a step are computed."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=console, transient=True,
        )  # fmt: skip
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def cost(self, pending: Any) -> None:
        if pending.images:
            console.print(f"{pending.images:,} images to read, about {duration(pending.seconds)}", highlight=False)

    def update(self, name: str, done: int, total: int | None) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)

    def step(self, result: Any) -> None:
        summary = result.summary
        if summary["name"] in self._tasks:
            self._progress.remove_task(self._tasks.pop(summary["name"]))
        line = f"{summary['order']:02d} {summary['name']:<24}"
        if summary["kind"] == "step":
            line += f" {summary['images_in']:>9,} -> {summary['images_out']:>9,} images"
            acted = [f"{count:,} {name}" for name, count in summary["actions"].items() if count and name != "dropped"]
            line += f"  {', '.join(acted)}"
        else:
            line += f" {', '.join([*summary['tables'], *summary['documents']])}"
        console.print(line + ("  (done before)" if result.cached else ""), markup=False, highlight=False)


@contextmanager
def placed(engine: str, workers: int) -> Iterator[dict[str, Any]]:
    """What `run_recipe` takes of the command line: where work is placed, and who is told of its cost and progress."""
    from curate.recipe.execute import make_executor

    if engine not in ("local", "ray"):
        raise CurateError(f"--engine is {engine!r}; give local or ray")
    with make_executor(engine, workers) as executor, Bars() as bars:
        yield {"executor": executor, "on_cost": bars.cost, "on_step": bars.step, "progress": bars.update}


def print_result(result: Any) -> None:
    for note in result.notes:
        console.print(f"note: {visible(note)}", markup=False, highlight=False)
    for done in result.steps:
        summary = done.summary
        if summary.get("summary"):
            table = Table(title=summary["sentence"], title_justify="left", show_header=False)
            for key, value in summary["summary"].items():
                table.add_row(plain(key), plain(_short(value)))
            console.print(table)
        for note in summary["notes"]:
            console.print(f"note: {summary['name']}: {visible(note)}", markup=False, highlight=False)
    if len(result.manifest):
        console.print(f"\n{len(result.manifest):,} rows in {result.folder / 'manifest.parquet'}", highlight=False)
    console.print(f"Report: {result.page}", highlight=False)


def _short(value: object) -> object:
    """A mapping as `name value, name value`; figures to three digits."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(item)}" for name, item in value.items())
    return f"{value:.3g}" if isinstance(value, float) else value


def plain(value: object) -> str:
    from rich.markup import escape

    return escape(visible(str(value)))


def visible(text: str) -> str:
    """Names are strangers' text: control characters must not reach the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def print_table(steps: list[Any], name: str, frame: Any) -> None:
    """The table of a report as its first figure formats it."""
    figure = next(done.summary["figures"][0] for done in steps if done.summary["name"].startswith(name))
    print_frame(figure["title"], frame, figure["options"].get("formats"))


def print_frame(title: str, frame: Any, formats: Any = None) -> None:
    """A table as reports write it, however narrow the window."""
    from curate.report.numbers import plain_table

    drawn = plain_table(frame, formats=formats)
    table = Table(title=plain(title), title_justify="left", box=None, pad_edge=False)
    for heading, numeric in zip(drawn.headings, drawn.numeric, strict=True):
        table.add_column(plain(heading), justify="right" if numeric else "left", no_wrap=not numeric)
    for row in drawn.rows:
        table.add_row(*map(plain, row))
    longest = [max(map(len, column)) for column in zip(*drawn.rows, strict=True)] if drawn.rows else []
    Console(width=max(console.width, sum(max(size, 12) + 1 for size in longest))).print(table)


def names(text: str | None) -> tuple[str, ...] | None:
    """The names of a comma-separated list; None where there is none."""
    return tuple(name.strip() for name in text.split(",") if name.strip()) or None if text else None


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
