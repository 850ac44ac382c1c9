"""Verbs that find, fetch and embed: candidates, download, embed; what convert does with images."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from curate.cli.shared import (
    CORES,
    Bars,
    Cache,
    Engine,
    Overrides,
    SourceName,
    Workers,
    app,
    console,
    placed,
    print_result,
    visible,
)


@app.command()
def embed(
    source: SourceName,
    model: Annotated[
        str, typer.Option("--model", help="An .onnx file, a TorchScript file, package.module:function, dlib, baseline.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The run folder, which is the vector store too.")] = Path(
        "runs/embed"
    ),
    align: Annotated[str | None, typer.Option("--align", help="none, landmarks, dlib or detector.")] = None,
    detector: Annotated[Path | None, typer.Option("--detector", help="An ONNX face detector.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Faces at once; 64.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu or cuda.")] = None,
    overrides: Overrides = [],  # noqa: B006
    workers: Workers = CORES,
    engine: Engine = "local",
    cache: Cache = None,
) -> None:
    """Turn images into vectors with a model of your own; the same command resumes."""
    from curate.recipe.verbs import run_embed

    found = str(detector.expanduser().resolve()) if detector else None
    settings = {"align": align or ("detector" if found else None), "detector": found, "batch": batch, "device": device}
    clock = _Clock()
    with placed(engine, workers) as work:

        def progress(name: str, done: int, total: int) -> None:
            clock.update(name, done)
            work["progress"](name, done, total)

        result = run_embed(
            source, out, model=model, settings=settings, overrides=overrides, cache=cache,
            **{**work, "progress": progress},
        )  # fmt: skip
    print_result(result)
    console.print(f"Vectors: {out} ({clock.sentence()})", highlight=False)


@app.command()
def download(
    urls: Annotated[
        Path, typer.Argument(help="A table with url, identity, bbox, sha256; or VGG Face's folder of lists.")
    ],
    out: Annotated[Path, typer.Option("--out", help="A new folder, or one of the same call to go on.")],
    at_once: Annotated[int, typer.Option("--at-once", min=1, help="Images fetched at a time.")] = 16,
    per_host: Annotated[int, typer.Option("--per-host", min=1, help="At a time from one host.")] = 2,
    max_bytes: Annotated[int, typer.Option("--max-bytes", min=1, help="Of one image.")] = 20_000_000,
    retries: Annotated[int, typer.Option("--retries", min=0)] = 3,
    robots: Annotated[bool, typer.Option("--robots/--no-robots", help="Do as robots.txt says.")] = True,
    private: Annotated[bool, typer.Option("--private", help="Allow addresses of the own network.")] = False,
) -> None:
    """Fetch the images of a list of URLs; the same command goes on, and tries again what may pass."""
    from curate.collect.download import download as fetch
    from curate.collect.fetch import DownloadParams
    from curate.collect.urls import read_urls

    listed = read_urls(urls)
    params = DownloadParams(
        at_once=at_once, per_host=per_host, max_bytes=max_bytes, retries=retries, robots=robots, private=private
    )
    with Bars() as bars:
        done = fetch(listed, out, params, lambda at, total: bars.update("download", at, total))
    for note in listed.notes:
        console.print(f"note: {visible(note)}", markup=False, highlight=False)
    for reason, count in sorted(done.reasons.items()):
        console.print(f"not here: {count:,} {reason}", highlight=False)
    console.print(f"{len(done.manifest):,} images, {done.before:,} settled before: {out / 'manifest.parquet'}; "
                  f"root {out / 'images'}", highlight=False)  # fmt: skip


@app.command()
def candidates(
    lists: Annotated[list[Path], typer.Argument(help="Lists of names: a table, or lines `name` or `name count`.")],
    out: Annotated[Path, typer.Option("--out", help="The list to write: .csv or .parquet.")],
    min_images: Annotated[int, typer.Option("--min-images", min=0, help="A name with fewer is dropped.")] = 0,
    exclude: Annotated[list[Path], typer.Option("--exclude", help="A list of names to leave out; repeatable.")] = [],  # noqa: B006
) -> None:
    """Make one list of persons to collect from lists of names, with the reason for every name."""
    from curate.collect.candidates import candidates as make
    from curate.collect.candidates import read_counts
    from curate.core.errors import InputError
    from curate.core.files import write_table, write_text

    if out.suffix not in (".csv", ".parquet"):
        raise InputError("--out names no table", value=str(out), allowed=".csv or .parquet")
    read = [read_counts(path) for path in lists]
    left_out = [read_counts(path) for path in exclude]
    table = make([rows for rows, _ in read], min_images=min_images,
                 exclude=[name for rows, _ in left_out for name, _ in rows])  # fmt: skip
    if out.suffix == ".csv":
        write_text(out, table.to_csv(index=False, lineterminator="\n"))
    else:
        write_table(out, table)
    for note in [note for _, notes in (*read, *left_out) for note in notes]:
        console.print(f"note: {visible(note)}", markup=False, highlight=False)
    for (status, reason), count in table.groupby(["status", "reason"]).size().items():
        console.print(f"{status}: {count:,} {reason}", highlight=False)
    console.print(f"{(table['status'] == 'kept').sum():,} candidates: {out}", highlight=False)


class _Clock:
    """How fast vectors were made."""

    def __init__(self) -> None:
        self.start, self.last, self.done = time.perf_counter(), 0.0, 0

    def update(self, name: str, done: int) -> None:
        if "descriptor" in name:
            self.last, self.done = time.perf_counter(), done
        elif not self.done:
            self.start = time.perf_counter()

    def sentence(self) -> str:
        if not self.done:
            return "all were in the cache"
        seconds = max(self.last - self.start, 1e-9)
        return f"{self.done:,} images in {seconds:,.1f} s, {self.done / seconds:,.0f} a second"


def convert_images(source: str, out: Path, to: str | None, root: Path | None) -> bool:
    """The part of `curate convert` that writes images; False where OUT or --to mean pairs."""
    from curate.collect.convert import convert_images as write
    from curate.collect.convert import is_image_layout
    from curate.recipe.cache import default_cache

    if not is_image_layout(out, to):
        return False
    written, notes = write(source, out, to, root=root, cache=default_cache())
    for note in notes:
        console.print(f"note: {visible(note)}", markup=False, highlight=False)
    console.print(f"{written.images:,} images: {', '.join(map(str, written.files))}", highlight=False)
    return True
