"""Fetching the images of a list of URLs: politely, a bounded number at once, and never the same one twice."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from curate.collect.fetch import TRANSIENT, DownloadParams, Fetcher, Outcome
from curate.collect.urls import UrlList, Wanted
from curate.core import columns as col
from curate.core.errors import InputError, MissingExtra
from curate.core.files import write_table
from curate.core.manifest import Manifest
from curate.images.reasons import FINE, REASONS

_LOG = "downloads.jsonl"


@dataclass
class Downloaded:
    """The manifest of what is here, the images that are not with their reasons, and how many were here before."""

    manifest: Manifest
    failed: pd.DataFrame
    before: int
    reasons: Counter = field(default_factory=Counter)


def download(
    listed: UrlList, out: Path, params: DownloadParams, progress: Callable[[int, int], None] | None = None
) -> Downloaded:
    """Fetch what is not here yet into `out/images/identity/`; the same call goes on where the last one ended.

    Also writes `out/manifest.parquet` (image_id, path, identity, bbox, sha256) and `out/failed.parquet` (url, identity,
    reason). What a server says about type or length is not believed: a file counts when its bytes decode to an image.
    Redirects are followed up to five times, each checked as the first address was; addresses of the own machine and
    network are refused. Raises MissingExtra without httpx, InputError where `out` holds something else.
    """
    try:
        import httpx  # noqa: F401
    except ImportError:
        raise MissingExtra("httpx", "download", "curate download") from None
    if out.is_dir() and any(out.iterdir()) and not (out / _LOG).is_file():
        raise InputError("the folder holds something else", file=out, remedy="Choose a new or an empty folder as --out")
    out.mkdir(parents=True, exist_ok=True)
    known = _known(out)
    done = {path: one for path, one in known.items() if one.reason not in TRANSIENT and _is_here(out, one)}
    todo = [one for one in listed.wanted if one.path not in done]
    with open(out / _LOG, "a", encoding="utf-8") as log:

        def keep(outcome: Outcome) -> None:
            done[outcome.path] = outcome
            log.write(json.dumps(outcome.__dict__, ensure_ascii=False) + "\n")
            log.flush()
            if progress is not None:
                progress(len(done) - len(listed.wanted) + len(todo), len(todo))

        asyncio.run(Fetcher(out / "images", params).run(_by_turns(todo), keep))
    return _result(listed, out, done, len(listed.wanted) - len(todo))


def _known(out: Path) -> dict[str, Outcome]:
    """The last outcome of each image, by earlier runs; a line that a killed run left half is passed over."""
    found: dict[str, Outcome] = {}
    if (out / _LOG).is_file():
        for line in (out / _LOG).read_text("utf-8", "replace").splitlines():
            try:
                one = Outcome(**json.loads(line))
            except (ValueError, TypeError):
                continue
            found[one.path] = one
    return found


def _is_here(out: Path, one: Outcome) -> bool:
    return one.reason != REASONS[FINE] or (out / "images" / one.detail).is_file()


def _by_turns(wanted: list[Wanted]) -> list[Wanted]:
    """One of each host in turn, so that a host with many images does not hold up the others."""
    turn: Counter = Counter()
    keyed = []
    for one in wanted:
        host = urlsplit(one.url).hostname
        keyed.append((turn[host], len(keyed), one))
        turn[host] += 1
    return [one for _, _, one in sorted(keyed, key=lambda item: item[:2])]


def _result(listed: UrlList, out: Path, done: dict[str, Outcome], before: int) -> Downloaded:
    good = [(one, done[one.path]) for one in listed.wanted if done[one.path].reason == REASONS[FINE]]
    bad = [(one, done[one.path]) for one in listed.wanted if done[one.path].reason != REASONS[FINE]]
    frame = pd.DataFrame({
        col.IMAGE_ID: [outcome.detail for _, outcome in good], col.PATH: [outcome.detail for _, outcome in good],
        col.IDENTITY: [one.identity for one, _ in good], "sha256": [outcome.sha256 for _, outcome in good],
    }, dtype="str")  # fmt: skip
    frame[col.DATASET] = out.resolve().name
    if any(one.bbox for one, _ in good):
        frame[col.BBOX] = [one.bbox for one, _ in good]
    manifest = Manifest.from_frame(frame, root=(out / "images").resolve(), levels={})
    manifest.write(out / "manifest.parquet")
    failed = pd.DataFrame({
        "url": [one.url for one, _ in bad], col.IDENTITY: [one.identity for one, _ in bad],
        "reason": [outcome.reason for _, outcome in bad], "detail": [outcome.detail for _, outcome in bad],
    }, dtype="str")  # fmt: skip
    write_table(out / "failed.parquet", failed)
    return Downloaded(manifest, failed, before, Counter(failed["reason"]))
