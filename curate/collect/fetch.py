"""Fetching single images over HTTP: a bounded number at once, politely, and believing nothing a server says."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import os
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urljoin, urlsplit

from pydantic import Field

from curate.collect.urls import Wanted
from curate.collect.write.base import ending_of
from curate.core.shapes import StrictParams
from curate.images.decode import decode
from curate.images.reasons import FINE, REASONS

#: Reasons that may pass: tried again, and by a later run of the same command.
TRANSIENT = frozenset({"timeout", "connection", "server_error", "too_many_requests", "cut_short", "robots_unreachable"})
_REDIRECTS = 5


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


class Refused(Exception):
    """Why an image is not to be had, and what is known about it."""

    def __init__(self, reason: str, detail: str = "", wait: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.detail, self.wait = reason, detail[:200], wait


class Fetcher:
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
                refused = Refused("timeout", f"{self.params.total_timeout} s")
            except Refused as error:
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
            raise Refused(REASONS[reason], f"{len(data)} bytes")
        if one.sha256 is not None and digest != one.sha256:
            raise Refused("checksum", digest)
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
                raise Refused("not_http", url)
            async with self.hosts[parts.netloc]:
                await self._check_address(parts.hostname)
                if self.params.robots and not await self._allowed(parts.scheme, parts.netloc, url):
                    raise Refused("robots", url)
                found = await self._request(url, self.params.max_bytes)
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
        raise Refused("too_many_redirects", url)

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
                    raise Refused("too_large", response.headers["content-length"])
                body = bytearray()
                async for chunk in response.aiter_bytes(65_536):
                    body += chunk
                    if len(body) > most:
                        raise Refused("too_large", f"more than {most}")
                return bytes(body)
        except httpx.TimeoutException as error:
            raise Refused("timeout", type(error).__name__) from error
        except httpx.RemoteProtocolError as error:
            raise Refused("cut_short", str(error)) from error
        except (httpx.HTTPError, OSError) as error:  # errors of TLS are OSErrors
            raise Refused("connection", str(error)) from error
        except (httpx.InvalidURL, ValueError, UnicodeError) as error:
            raise Refused("not_http", str(error)) from error

    async def _check_address(self, host: str) -> None:
        if self.params.private:
            return
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Refused("connection", str(error)) from error
        for *_, address in found:
            if not _is_public(address[0]):
                raise Refused("private_address", f"{host} is {address[0]}")

    def _check_peer(self, response: Any) -> None:
        """The address that was really reached: a name may have led elsewhere since it was looked up."""
        stream = response.extensions.get("network_stream")
        peer = stream.get_extra_info("server_addr") if stream is not None else None
        if not self.params.private and peer is not None and not _is_public(peer[0]):
            raise Refused("private_address", str(peer[0]))

    async def _allowed(self, scheme: str, place: str, url: str) -> bool:
        """What robots.txt says (RFC 9309): none is leave, one that can't be reached is not."""
        key = f"{scheme}://{place}"
        if key not in self.rules:
            self.rules[key] = asyncio.ensure_future(self._read_rules(key))
        rules = await asyncio.shield(self.rules[key])
        if rules is None:
            self.rules.pop(key, None)
            raise Refused("robots_unreachable", f"{key}/robots.txt")
        return rules.can_fetch(self.params.agent, url)

    async def _read_rules(self, key: str) -> Any:
        from urllib.robotparser import RobotFileParser

        rules = RobotFileParser()
        lines: list[str] = []
        try:
            found = await self._request(f"{key}/robots.txt", 512_000)
            if isinstance(found, bytes):
                lines = found.decode("utf-8", "replace").splitlines()
        except Refused as error:
            if error.reason in TRANSIENT:
                return None
        rules.parse(lines)
        return rules


def _check_status(response: Any) -> None:
    code = response.status_code
    if code == 429 or code >= 500:
        wait = response.headers.get("retry-after", "")
        seconds = float(wait) if wait.isdigit() else 0.0
        raise Refused("too_many_requests" if code == 429 else "server_error", str(code), seconds)
    if code != 200:
        raise Refused("not_found" if code in (404, 410) else "status", str(code))


def _is_public(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = getattr(found, "ipv4_mapped", None) or found
    return inner.is_global and not inner.is_multicast
