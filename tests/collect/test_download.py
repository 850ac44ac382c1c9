"""The downloader against a server of ours that stalls, truncates, redirects and lies."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from curate.collect.download import download
from curate.collect.fetch import DownloadParams, _is_public
from curate.collect.urls import read_urls
from curate.core.errors import InputError

pytest.importorskip("httpx")


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


class Handler(BaseHTTPRequestHandler):
    """/fine/N, /stall, /short, /html, /missing, /busy (twice 503), /big, /endless, /to/..., /loop, /private, /png."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        server.seen[self.path] += 1
        with server.lock:
            server.now += 1
            server.most = max(server.most, server.now)
        try:
            self._answer(self.path.strip("/").split("/"))
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with server.lock:
                server.now -= 1

    def _answer(self, parts: list[str]) -> None:
        kind = parts[0]
        if kind == "robots.txt":
            return self._send(self.server.robots, "text/plain") if self.server.robots else self._send(b"", status=404)
        if kind == "fine":
            time.sleep(0.02)
            return self._send(jpeg(int(parts[1])))
        if kind == "stall":
            time.sleep(1.2)
            return self._send(jpeg(0))
        if kind == "short":
            return self._send(jpeg(1)[:-200], length=len(jpeg(1)))
        if kind == "html":
            return self._send(b"<html>no longer here</html>", "image/jpeg")
        if kind == "text":
            return self._send(jpeg(7), "text/html")
        if kind == "busy" and self.server.seen[self.path] < 3:
            return self._send(b"", status=503)
        if kind == "big":
            return self._send(b"x", length=10**9)
        if kind == "endless":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"\xff" * 65536)
        if kind in ("to", "loop", "file"):
            place = {"to": "/" + "/".join(parts[1:]), "loop": "/loop", "file": "file:///etc/passwd"}[kind]
            self.send_response(302)
            self.send_header("Location", place)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        return self._send(jpeg(3)) if kind in ("busy", "hidden") else self._send(b"", status=404)

    def _send(self, data: bytes, kind: str = "image/jpeg", status: int = 200, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.seen, found.lock, found.now, found.most, found.robots = Counter(), threading.Lock(), 0, 0, b""
    found.daemon_threads = True
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()


def listed(tmp_path: Path, server: ThreadingHTTPServer, *paths: str, **columns: list):
    rows = {"url": [f"http://127.0.0.1:{server.server_port}/{path}" for path in paths],
            "identity": [f"p{at % 3}" for at in range(len(paths))], **columns}  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "urls.csv", index=False)
    return read_urls(tmp_path / "urls.csv")


FAST = {"private": True, "backoff": 0.01, "timeout": 0.4, "total_timeout": 3, "max_bytes": 300_000}


def reasons(done) -> dict[str, str]:
    return {url.split("/", 3)[3]: reason for url, reason in zip(done.failed["url"], done.failed["reason"], strict=True)}


def test_every_way_in_which_a_server_fails_is_a_reason(tmp_path: Path, server):
    urls = listed(tmp_path, server, "fine/1", "stall", "short", "html", "missing", "busy/1", "big", "endless",
                  "to/fine/2", "loop", "file", "text")  # fmt: skip
    done = download(urls, tmp_path / "out", DownloadParams(**FAST))
    assert reasons(done) == {
        "stall": "timeout", "short": "cut_short", "html": "not_an_image", "missing": "not_found", "big": "too_large",
        "endless": "too_large", "loop": "too_many_redirects", "file": "not_http",
    }  # fmt: skip
    files = {path.read_bytes() for path in (tmp_path / "out" / "images").rglob("*.jpg")}
    assert files == {jpeg(1), jpeg(2), jpeg(3), jpeg(7)}
    assert len(done.manifest) == 4
    assert server.seen["/stall"] == server.seen["/short"] == 4, "three retries"
    assert server.seen["/html"] == server.seen["/missing"] == 1, "what will not pass is not tried again"
    assert server.seen["/busy/1"] == 3
    digests = {hashlib.sha256(data).hexdigest() for data in files}
    assert set(done.manifest.frame["sha256"]) == digests
    assert not list((tmp_path / "out").rglob("*.part"))


def test_it_goes_on_where_it_ended(tmp_path: Path, server):
    urls = listed(tmp_path, server, "fine/1", "fine/2", "missing", "stall", "fine/3")
    params = DownloadParams(**{**FAST, "retries": 0})
    first = download(urls, tmp_path / "out", params)
    server.seen.clear()
    with open(tmp_path / "out" / "downloads.jsonl", "a") as log:
        log.write('{"path": "half a li')  # as a killed run leaves it
    next((tmp_path / "out" / "images").rglob("*.jpg")).unlink()
    again = download(urls, tmp_path / "out", params)
    fetched = {path for path in server.seen if path != "/robots.txt"}
    assert len(fetched) == 2, "what may pass, and the file that is gone"
    assert "/stall" in fetched
    assert "/missing" not in fetched
    assert again.before == 3
    pd.testing.assert_frame_equal(first.manifest.frame, again.manifest.frame)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").write_text("x")
    with pytest.raises(InputError, match="holds something else"):
        download(urls, tmp_path / "mine", params)


def test_no_more_at_once_than_asked(tmp_path: Path, server):
    urls = listed(tmp_path, server, *(f"fine/{at}" for at in range(24)))
    done = download(urls, tmp_path / "out", DownloadParams(**FAST, at_once=8, per_host=3))
    assert len(done.manifest) == 24
    assert server.most <= 3


def test_robots_are_obeyed_unless_told_otherwise(tmp_path: Path, server):
    server.robots = b"User-agent: *\nDisallow: /hidden\n"
    urls = listed(tmp_path, server, "fine/1", "hidden/a")
    done = download(urls, tmp_path / "out", DownloadParams(**FAST))
    assert reasons(done) == {"hidden/a": "robots"}
    assert server.seen["/robots.txt"] == 1
    assert "/hidden/a" not in server.seen
    assert len(download(urls, tmp_path / "two", DownloadParams(**FAST, robots=False)).manifest) == 2


def test_checksums(tmp_path: Path, server):
    good, bad = hashlib.sha256(jpeg(1)).hexdigest().upper(), "0" * 64
    urls = listed(tmp_path, server, "fine/1", "fine/2", sha256=[good, bad])
    done = download(urls, tmp_path / "out", DownloadParams(**FAST))
    assert reasons(done) == {"fine/2": "checksum"}


def test_the_own_network_is_refused(tmp_path: Path, server):
    urls = listed(tmp_path, server, "fine/1")
    done = download(urls, tmp_path / "out", DownloadParams(**{**FAST, "private": False}))
    assert list(done.failed["reason"]) == ["private_address"]
    assert not server.seen


@pytest.mark.parametrize(("address", "public"), [
    ("127.0.0.1", False), ("10.1.2.3", False), ("169.254.169.254", False), ("::1", False), ("::ffff:127.0.0.1", False),
    ("0.0.0.0", False), ("224.0.0.1", False), ("fe80::1%eth0", False), ("8.8.8.8", True), ("2606:4700::1111", True),
])  # fmt: skip
def test_which_addresses_are_public(address: str, public: bool):
    assert _is_public(address) == public


def test_lists_of_every_form(tmp_path: Path):
    (tmp_path / "vgg").mkdir()
    (tmp_path / "vgg" / "Anna_Lee.txt").write_text(
        "1 http://a.org/1.jpg 1 2 3 4 3.0 2.1 1\nbroken\n2 ftp://a/2.jpg 1 2 3 4\n"
    )
    found = read_urls(tmp_path / "vgg")
    assert [(one.url, one.identity, one.bbox) for one in found.wanted] == [
        ("http://a.org/1.jpg", "Anna_Lee", "1 2 3 4")
    ]
    assert len(found.notes) == 2
    (tmp_path / "t.jsonl").write_text(json.dumps({"url": "http://a.org/1.jpg", "identity": "../x", "left": 1, "top": 2,
                                                  "right": 3, "bottom": 4}) + "\n")  # fmt: skip
    one = read_urls(tmp_path / "t.jsonl").wanted[0]
    assert one.bbox == "1 2 3 4"
    assert one.path.count("/") == 1
    assert ".." not in one.path.split("/")
    (tmp_path / "n.csv").write_text("link\nx\n")
    with pytest.raises(InputError, match="the column 'url' is missing"):
        read_urls(tmp_path / "n.csv")
