"""Fetching the images of a list of URLs: politely, a bounded number at once, and never the same one twice."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import os
import socket
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urljoin, urlsplit

import pandas as pd
from pydantic import Field

from curate.collect.urls import UrlList, Wanted
from curate.collect.write.base import ending_of
from curate.core import columns as col
from curate.core.errors import InputError, MissingExtra
from curate.core.files import write_table
from curate.core.manifest import Manifest
from curate.core.shapes import StrictParams
from curate.images.decode import decode
from curate.images.reasons import FINE, REASONS

#: What a later run of the same command tries again.
TRANSIENT = frozenset({"timeout", "connection", "server_error", "too_many_requests", "cut_short", "robots_unreachable"})
_REDIRECTS = 5
_LOG = "downloads.jsonl"


class DownloadParams(StrictParams):
    """How images are fetched."""

    at_once: Annotated[int, Field(ge=1, le=256)] = 16
    per_host: Annotated[int, Field(ge=1, le=64)] = 2
    retries: Annotated[int, Field(ge=0, le=10)] = 3  # of what may pass: time-outs, cut connections, 429 and 5xx
    backoff: Annotated[float, Field(ge=0)] = 1.0  # seconds before the first retry; doubled each time
    timeout: Annotated[float, Field(gt=0)] = 20.0  # seconds without a byte
    total_timeout: Annotated[float, Field(gt=0)] = 120.0  # seconds for one try, however it trickles
    max_bytes: Annotated[int, Field(ge=1)] = 20_000_000
    robots: bool = True  # do as robots.txt says
    private: bool = False  # allow addresses of the own machine and network
    agent: str = "curate-download"


@dataclass
class Outcome:
    """What became of one image: `fine` or why not, and what is known of the file."""

    path: str
    reason: str
    sha256: str | None = None
    bytes: int = 0
    tries: int = 1
    detail: str = ""


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

        asyncio.run(_Fetcher(out / "images", params).run(_by_turns(todo), keep))
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


class _Refused(Exception):
    """Why an image is not to be had, and what is known about it."""

    def __init__(self, reason: str, detail: str = "", wait: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.detail, self.wait = reason, detail[:200], wait


class _Fetcher:
    """Fetches a list; one for each run."""

    def __init__(self, folder: Path, params: DownloadParams) -> None:
        self.folder, self.params = folder, params
        self.hosts: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(params.per_host))
        self.rules: dict[str, asyncio.Future] = {}

    async def run(self, wanted: list[Wanted], keep: Callable[[Outcome], None]) -> None:
        import httpx

        limits = httpx.Limits(max_connections=self.params.at_once, max_keepalive_connections=self.params.at_once)
        headers = {"User-Agent": self.params.agent, "Accept": "image/*", "Accept-Encoding": "identity"}
        async with httpx.AsyncClient(
            limits=limits, headers=headers, timeout=self.params.timeout, follow_redirects=False, trust_env=False
        ) as self.client:
            queue: Iterator[Wanted] = iter(wanted)

            async def work() -> None:
                for one in queue:
                    keep(await self._one(one))

            await asyncio.gather(*(work() for _ in range(min(self.params.at_once, max(1, len(wanted))))))

    async def _one(self, one: Wanted) -> Outcome:
        for attempt in range(self.params.retries + 1):
            try:
                async with asyncio.timeout(self.params.total_timeout):
                    data = await self._get(one.url)
                return self._keep(one, data, attempt + 1)
            except TimeoutError:
                refused = _Refused("timeout", f"{self.params.total_timeout} s")
            except _Refused as error:
                refused = error
            if refused.reason not in TRANSIENT:
                break
            if attempt < self.params.retries:
                await asyncio.sleep(max(self.params.backoff * 2**attempt, min(refused.wait, 60.0)))
        return Outcome(one.path, refused.reason, tries=attempt + 1, detail=refused.detail)

    def _keep(self, one: Wanted, data: bytes, tries: int) -> Outcome:
        reason, _ = decode(data)
        digest = hashlib.sha256(data).hexdigest()
        if reason != FINE:
            raise _Refused(REASONS[reason], f"{len(data)} bytes")
        if one.sha256 is not None and digest != one.sha256:
            raise _Refused("checksum", digest)
        name = one.path + ending_of(data)
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        part.write_bytes(data)
        os.replace(part, target)
        return Outcome(one.path, REASONS[FINE], digest, len(data), tries, name)

    async def _get(self, url: str) -> bytes:
        for _ in range(_REDIRECTS + 1):
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise _Refused("not_http", url)
            async with self.hosts[parts.netloc]:
                await self._check_address(parts.hostname)
                if self.params.robots and not await self._allowed(parts.scheme, parts.netloc, url):
                    raise _Refused("robots", url)
                found = await self._request(url, self.params.max_bytes)
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
        raise _Refused("too_many_redirects", url)

    async def _request(self, url: str, most: int) -> bytes | str:
        """The body, or the address that the server sends us on to."""
        import httpx

        try:
            async with self.client.stream("GET", url) as response:
                self._check_peer(response)
                if response.is_redirect and "location" in response.headers:
                    return response.headers["location"]
                _check_status(response)
                if int(response.headers.get("content-length") or 0) > most:
                    raise _Refused("too_large", response.headers["content-length"])
                body = bytearray()
                async for chunk in response.aiter_bytes(65_536):
                    body += chunk
                    if len(body) > most:
                        raise _Refused("too_large", f"more than {most}")
                return bytes(body)
        except httpx.TimeoutException as error:
            raise _Refused("timeout", type(error).__name__) from error
        except httpx.RemoteProtocolError as error:
            raise _Refused("cut_short", str(error)) from error
        except (httpx.HTTPError, OSError) as error:  # errors of TLS are OSErrors
            raise _Refused("connection", str(error)) from error
        except (httpx.InvalidURL, ValueError, UnicodeError) as error:
            raise _Refused("not_http", str(error)) from error

    async def _check_address(self, host: str) -> None:
        if self.params.private:
            return
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise _Refused("connection", str(error)) from error
        for *_, address in found:
            if not _is_public(address[0]):
                raise _Refused("private_address", f"{host} is {address[0]}")

    def _check_peer(self, response: Any) -> None:
        """The address that was really reached: a name may have led elsewhere since it was looked up."""
        stream = response.extensions.get("network_stream")
        peer = stream.get_extra_info("server_addr") if stream is not None else None
        if not self.params.private and peer is not None and not _is_public(peer[0]):
            raise _Refused("private_address", str(peer[0]))

    async def _allowed(self, scheme: str, place: str, url: str) -> bool:
        """What robots.txt says (RFC 9309): none is leave, one that can't be reached is not."""
        key = f"{scheme}://{place}"
        if key not in self.rules:
            self.rules[key] = asyncio.ensure_future(self._read_rules(key))
        rules = await asyncio.shield(self.rules[key])
        if rules is None:
            self.rules.pop(key, None)
            raise _Refused("robots_unreachable", f"{key}/robots.txt")
        return rules.can_fetch(self.params.agent, url)

    async def _read_rules(self, key: str) -> Any:
        from urllib.robotparser import RobotFileParser

        rules = RobotFileParser()
        lines: list[str] = []
        try:
            found = await self._request(f"{key}/robots.txt", 512_000)
            if isinstance(found, bytes):
                lines = found.decode("utf-8", "replace").splitlines()
        except _Refused as error:
            if error.reason in TRANSIENT:
                return None
        rules.parse(lines)
        return rules


def _check_status(response: Any) -> None:
    code = response.status_code
    if code == 429 or code >= 500:
        wait = response.headers.get("retry-after", "")
        seconds = float(wait) if wait.isdigit() else 0.0
        raise _Refused("too_many_requests" if code == 429 else "server_error", str(code), seconds)
    if code != 200:
        raise _Refused("not_found" if code in (404, 410) else "status", str(code))


def _is_public(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = getattr(found, "ipv4_mapped", None) or found
    return inner.is_global and not inner.is_multicast
