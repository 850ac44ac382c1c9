"""The command line: one thin function per verb."""

from __future__ import annotations

import os
import sys
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

RecipeName = Annotated[str, typer.Argument(help="A recipe file, or the name of a bundled recipe such as demo.")]
SourceName = Annotated[str, typer.Argument(help="A folder (identity/image.jpg), a manifest, or the word synthetic.")]
Overrides = Annotated[list[str], typer.Option("--set", help="KEY=VALUE, such as source.root=faces; repeatable.")]
Out = Annotated[Path | None, typer.Option("--out", help="The run folder; default runs/NAME.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes; default: one per core.")]
Engine = Annotated[str, typer.Option("--engine", help="local or ray (RAY_ADDRESS names a cluster).")]
Cache = Annotated[Path | None, typer.Option("--cache", help="Folder of cached features; default ~/.cache/curate.")]
Labels = Annotated[str | None, typer.Option("--labels", help="identity,gender,...; default: all that are declared.")]
RunFolderArgument = Annotated[Path, typer.Argument(help="A run folder.")]

_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@app.command()
def run(
    recipe: RecipeName,
    overrides: Overrides = [],  # noqa: B006
    out: Out = None,
    workers: Workers = _CORES,
    engine: Engine = "local",
    cache: Cache = None,
) -> None:
    """Run a recipe; the same command resumes an interrupted run."""
    from curate.recipe.execute import make_executor
    from curate.recipe.run import run_recipe
    from curate.recipe.schema import load_recipe

    checked = load_recipe(recipe, overrides)
    folder = out or Path("runs") / checked.name
    with make_executor(_engine(engine), workers) as executor, _Bars() as bars:
        result = run_recipe(
            checked, folder, executor=executor, cache=cache, on_cost=bars.cost, on_step=bars.step, progress=bars.update
        )
    _print_result(result)


@app.command()
def plan(recipe: RecipeName, overrides: Overrides = [], workers: Workers = _CORES, cache: Cache = None) -> None:  # noqa: B006
    """Check a recipe and print what will run, what is cached, and about what the rest costs."""
    from curate.collect import SOURCES
    from curate.recipe.execute import LocalExecutor
    from curate.recipe.features import FeatureStore, default_cache
    from curate.recipe.plan import plan_rows
    from curate.recipe.schema import load_recipe

    checked = load_recipe(recipe, overrides)
    place = cache or default_cache()
    with LocalExecutor(workers) as executor:
        manifest = SOURCES[checked.source.kind].read(checked.source, checked.levels, executor, place).manifest
        rows = plan_rows(checked, FeatureStore(manifest, place, executor, checked.embedder))
    table = Table(title=f"{checked.name}: {len(manifest):,} images", title_justify="left")
    for name in ("", "step", "what it does", "needs", "to compute", "about"):
        table.add_column(name, overflow="fold")
    for row in rows:
        cost = f"{row.images:,} images" if row.images else ("cached" if row.needs else "")
        table.add_row(
            f"{row.order:02d}", row.name, row.sentence, ", ".join(row.needs), cost,
            _duration(row.seconds) if row.images else "",
        )  # fmt: skip
    console.print(table)
    total = sum(row.seconds for row in rows)
    console.print(f"Features: about {_duration(total)} with {workers} workers. Steps over tables come on top.")


@app.command()
def duplicates(
    source: SourceName,
    out: Annotated[Path, typer.Option("--out", help="The run folder; pairs.parquet lies in it.")] = Path(
        "runs/duplicates"
    ),
    method: Annotated[str | None, typer.Option("--method", help="What proposes near copies, such as phash.")] = None,
    max_distance: Annotated[
        float | None, typer.Option("--max-distance", help="Up to which a pair is proposed.")
    ] = None,
    min_correlation: Annotated[
        float | None, typer.Option("--min-correlation", help="Of aligned pixels, from which a pair is confirmed.")
    ] = None,
    linkage: Annotated[str | None, typer.Option("--linkage", help="star or chain.")] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Choose the thresholds on altered copies of these images.")
    ] = False,
    precision: Annotated[float | None, typer.Option("--precision", help="What --calibrate aims at; 0.99.")] = None,
    against: Annotated[
        Path | None, typer.Option("--against", help="A finished run: compare new images with those that it kept.")
    ] = None,
    overrides: Overrides = [],  # noqa: B006
    workers: Workers = _CORES,
    engine: Engine = "local",
    cache: Cache = None,
) -> None:
    """Find copies of images: equal bytes, equal pixels, and altered ones; the same command resumes."""
    from curate.recipe.execute import make_executor
    from curate.recipe.verbs import run_duplicates

    near = {"method": method, "max_distance": max_distance, "min_correlation": min_correlation, "linkage": linkage}
    with make_executor(_engine(engine), workers) as executor, _Bars() as bars:
        result = run_duplicates(
            source, out, executor=executor, near=near, calibrate=calibrate, precision=precision, against=against,
            overrides=overrides, cache=cache, on_step=bars.step, progress=bars.update,
        )  # fmt: skip
    _print_result(result)
    console.print(f"Pairs: {out / 'pairs.parquet'}", highlight=False)


@app.command()
def imbalance(
    source: SourceName,
    labels: Labels = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measures of each label as JSON.")] = False,
    out: Annotated[Path, typer.Option("--out", help="The run folder.")] = Path("runs/imbalance"),
    overrides: Overrides = [],  # noqa: B006
    workers: Workers = _CORES,
    cache: Cache = None,
) -> None:
    """Measure how unevenly images spread over identities, labels and cells; the same command resumes."""
    from curate.core.files import read_table
    from curate.recipe.execute import LocalExecutor
    from curate.recipe.verbs import run_imbalance

    with LocalExecutor(workers) as executor:
        result = run_imbalance(
            source, out, executor=executor, labels=_names(labels), overrides=overrides, cache=cache
        )  # fmt: skip
    if as_json:
        print(read_table(out / "imbalance" / "labels.parquet").to_json(orient="records", indent=2))
    else:
        _print_result(result)


@app.command()
def balance(
    source: SourceName,
    method: Annotated[str, typer.Option("--method", help="idr, idr_lookahead, or a rival: see --compare.")] = "idr",
    labels: Labels = None,
    target: Annotated[float | None, typer.Option("--target", help="IDR of each label at most (idr).")] = None,
    budget: Annotated[int | None, typer.Option("--budget", help="Replicas at most.")] = None,
    keep: Annotated[float | None, typer.Option("--keep", help="Share of the images that thinning leaves.")] = None,
    images: Annotated[int | None, typer.Option("--images", help="Images of an identity (cap, quota, ...).")] = None,
    identities: Annotated[int | None, typer.Option("--identities", help="Identities of a cell (quota).")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    compare: Annotated[bool, typer.Option("--compare", help="Also put every method in one table.")] = False,
    augment: Annotated[str | None, typer.Option("--augment", help="Pipeline of the pictures in the report.")] = None,
    out: Annotated[Path, typer.Option("--out", help="The run folder; manifest.parquet lies in it.")] = Path(
        "runs/balance"
    ),
    overrides: Overrides = [],  # noqa: B006
    workers: Workers = _CORES,
    engine: Engine = "local",
    cache: Cache = None,
) -> None:
    """Balance identities, labels and cells by replicas or by leaving out; the same command resumes."""
    from curate.core.files import read_table
    from curate.recipe.execute import make_executor
    from curate.recipe.verbs import run_balance

    limits = {"labels": _names(labels), "budget": budget, "keep": keep, "images": images, "identities": identities}
    with make_executor(_engine(engine), workers) as executor, _Bars() as bars:
        result = run_balance(
            source, out, executor=executor, method=method, limits=limits, target=target, seed=seed, compare=compare,
            augment=augment, overrides=overrides, cache=cache, on_cost=bars.cost, on_step=bars.step,
            progress=bars.update,
        )  # fmt: skip
    if compare:
        _print_table(result.steps, "rivals", read_table(out / "balance" / "rivals.parquet"))
    _print_result(result)


@app.command()
def materialise(
    run: RunFolderArgument,
    out: Annotated[Path, typer.Option("--out", help="A new folder, or one of the same call to go on.")],
    augment: Annotated[str, typer.Option("--augment", help="A preset or a YAML file.")] = "light",
    size: Annotated[int, typer.Option("--size", min=8, help="Pixels of a side.")] = 112,
    format: Annotated[str, typer.Option("--format", help="jpg, or png for the very pixels.")] = "jpg",
    workers: Workers = _CORES,
) -> None:
    """Write a run's images as files, replicas augmented, for a trainer that cannot draw them; it resumes."""
    from curate.balance.materialise import materialise as write
    from curate.core.manifest import read_manifest
    from curate.recipe.execute import LocalExecutor
    from curate.recipe.store import RunFolder

    root = RunFolder(run).plan()["source"]["root"]
    with LocalExecutor(workers) as executor:
        done = write(
            read_manifest(run / "manifest.parquet", root=root), out, augment, size=size, format=format,
            executor=executor,
        )  # fmt: skip
    for image_id, reason in done.unreadable[:20]:
        console.print(f"left out: {image_id}: {reason}", markup=False, highlight=False)
    console.print(
        f"{done.made:,} files written, {done.found:,} were there: {out / 'manifest.parquet'}", highlight=False
    )


@app.command()
def explain(run: RunFolderArgument, image_id: Annotated[str, typer.Argument(help="An image_id.")]) -> None:
    """Tell one image's whole story: every decision about it, and why."""
    from curate.recipe.story import explain as tell

    events = tell(run, image_id)
    console.print(_visible(image_id), markup=False, highlight=False, style="bold")
    for event in events:
        where = f"{event.order:02d} {event.step}" if event.order < 999 else "end"
        console.print(f"  {where:<28} {_visible(event.text)}", markup=False, highlight=False)


@app.command()
def undo(
    run: RunFolderArgument,
    step: Annotated[str | None, typer.Option("--step", help="Bring back all that this step dropped.")] = None,
    image: Annotated[list[str], typer.Option("--image", help="Bring back this image; repeatable.")] = [],  # noqa: B006
    workers: Workers = _CORES,
) -> None:
    """Bring back dropped images, by a person's `keep`, and rerun what depends on them."""
    from curate.recipe.execute import LocalExecutor
    from curate.recipe.story import undo as bring_back

    with LocalExecutor(workers) as executor, _Bars() as bars:
        result = bring_back(run, step=step, images=image, executor=executor, on_step=bars.step)
    _print_result(result)


@app.command()
def doctor() -> None:
    """Say which optional libraries are here, and what each unlocks."""
    from curate.core.bundled import bundled
    from curate.recipe.doctor import examine, free_space
    from curate.recipe.features import default_cache
    from curate.recipe.registry import all_steps
    from curate.recipe.store import library_versions

    table = Table(title="Extras", title_justify="left")
    for name in ("library", "version", "unlocks", "to install"):
        table.add_column(name, overflow="fold")
    for found in examine():
        table.add_row(
            found.library, found.version or "[red]missing[/]", found.unlocks, found.remedy.replace("[", r"\[")
        )
    console.print(table)
    console.print("Libraries: " + ", ".join(f"{name} {version}" for name, version in library_versions().items()))
    recipes = sorted(path.stem for path in bundled("recipes").glob("*.yaml"))
    cards = sorted(path.stem for path in bundled("data_manifests").glob("*.yaml"))
    console.print(f"Recipes: {', '.join(recipes)}")
    console.print(f"Dataset cards: {', '.join(cards)}")
    console.print(f"Steps and reports: {', '.join(sorted(all_steps()))}")
    console.print(f"Cache: {default_cache()}; {free_space() / 1e9:,.0f} GB free here; {_CORES} cores")


@app.command(name="app")
def look(
    run: RunFolderArgument,
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 8501,
) -> None:
    """Look at a run in the browser (Streamlit, on 127.0.0.1 only)."""
    import importlib.util
    import subprocess

    from curate.core.bundled import bundled
    from curate.core.errors import MissingExtra
    from curate.recipe.store import RunFolder

    RunFolder(run).plan()
    if importlib.util.find_spec("streamlit") is None:
        raise MissingExtra("streamlit", "app", "curate app")
    command = [
        sys.executable, "-m", "streamlit", "run", str(bundled("app") / "main.py"), "--server.headless", "true",
        "--server.address", "127.0.0.1", "--server.port", str(port), "--browser.gatherUsageStats", "false",
    ]  # fmt: skip
    console.print(f"http://127.0.0.1:{port}  (Ctrl-C ends it)")
    environment = {**os.environ, "CURATE_RUN": str(run.resolve())}
    raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)


def main() -> None:
    """Entry point: errors that a user can mend are one line, without a traceback."""
    try:
        app()
    except CurateError as error:
        Console(stderr=True, soft_wrap=True, emoji=False).print(f"[red]error:[/] {_plain(error)}", highlight=False)
        sys.exit(2)


class _Bars:
    """A line per finished step, and a bar while features are computed."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=console, transient=True,
        )  # fmt: skip
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def cost(self, pending: Any) -> None:
        if pending.images:
            console.print(f"{pending.images:,} images to read, about {_duration(pending.seconds)}", highlight=False)

    def update(self, name: str, done: int, total: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)

    def step(self, result: Any) -> None:
        summary = result.summary
        line = f"{summary['order']:02d} {summary['name']:<24}"
        if summary["kind"] == "step":
            line += f" {summary['images_in']:>9,} -> {summary['images_out']:>9,} images"
            acted = [f"{count:,} {name}" for name, count in summary["actions"].items() if count and name != "dropped"]
            line += f"  {', '.join(acted)}"
        else:
            line += f" {', '.join([*summary['tables'], *summary['documents']])}"
        console.print(line + ("  (done before)" if result.cached else ""), markup=False, highlight=False)


def _print_result(result: Any) -> None:
    for note in result.notes:
        console.print(f"note: {_visible(note)}", markup=False, highlight=False)
    for done in result.steps:
        summary = done.summary
        if summary.get("summary"):
            table = Table(title=summary["sentence"], title_justify="left", show_header=False)
            for key, value in summary["summary"].items():
                table.add_row(_plain(key), _plain(_short(value)))
            console.print(table)
        for note in summary["notes"]:
            console.print(f"note: {summary['name']}: {_visible(note)}", markup=False, highlight=False)
    console.print(f"\n{len(result.manifest):,} rows in {result.folder / 'manifest.parquet'}", highlight=False)
    console.print(f"Report: {result.page}", highlight=False)


def _short(value: object) -> object:
    """A mapping as `name value, name value`; figures to three digits."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(item)}" for name, item in value.items())
    return f"{value:.3g}" if isinstance(value, float) else value


def _plain(value: object) -> str:
    from rich.markup import escape

    return escape(_visible(str(value)))


def _visible(text: str) -> str:
    """Names are strangers' text: control characters must not reach the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def _print_table(steps: list[Any], name: str, frame: Any) -> None:
    """The table of a report as its first figure formats it, however narrow the window."""
    from curate.report.numbers import plain_table

    figure = next(done.summary["figures"][0] for done in steps if done.summary["name"].startswith(name))
    plain = plain_table(frame, formats=figure["options"].get("formats"))
    table = Table(title=figure["title"], title_justify="left", box=None, pad_edge=False)
    for heading, numeric in zip(plain.headings, plain.numeric, strict=True):
        table.add_column(_plain(heading), justify="right" if numeric else "left", no_wrap=not numeric)
    for row in plain.rows:
        table.add_row(*map(_plain, row))
    Console(width=max(console.width, 12 * len(plain.headings))).print(table)


def _names(text: str | None) -> tuple[str, ...] | None:
    """The names of a comma-separated list; None where there is none."""
    return tuple(name.strip() for name in text.split(",") if name.strip()) or None if text else None


def _engine(name: str) -> str:
    if name not in ("local", "ray"):
        raise CurateError(f"--engine is {name!r}; give local or ray")
    return name


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    main()
