"""The report page in a browser: quiet, offline, narrow, dark, and deaf to scripts in names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curate.report import write_report


def open_page(browser: Any, file: Path, *, width: int, scheme: str = "light") -> tuple[Any, list[str]]:
    """The page with all its figures drawn and all its details open, and what went wrong meanwhile."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (trouble.append("dialog"), dialog.dismiss()))
    page.on("request", lambda request: None if request.url.startswith(("data:", file.as_uri()))
            else trouble.append(f"request: {request.url}"))  # fmt: skip
    page.goto(file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")  # draws every figure
    count = page.locator(".plot").count()
    page.wait_for_function(f"document.querySelectorAll('.plot .main-svg').length >= {count}")
    return page, trouble


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_opens_quietly_and_fits(browser: Any, run: Path, width: int, scheme: str) -> None:
    page, trouble = open_page(browser, write_report(run), width=width, scheme=scheme)
    assert trouble == []
    assert page.locator(".plot").count() >= 8
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    page.context.close()


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1) of `rgb(r, g, b)`."""
    parts = [float(v) / 255 for v in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_themes(browser: Any, run: Path, scheme: str) -> None:
    page, _ = open_page(browser, write_report(run), width=1280, scheme=scheme)
    back = page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    assert (luminance(back) < 0.1) == (scheme == "dark")
    for selector in (".card p", ".card .quiet", ".role", ".drop .role", ".who", "th", "td", ".plot text"):
        name = "fill" if "text" in selector else "color"
        ink = page.evaluate(f"getComputedStyle(document.querySelector({selector!r})).{name}")
        lighter, darker = sorted((luminance(ink), luminance(back)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (selector, ink, back)
    page.context.close()


def test_a_malicious_name_runs_nothing(browser: Any, evil_run: Path) -> None:
    page, trouble = open_page(browser, write_report(evil_run), width=390)
    for plot in page.locator(".plot").all()[:3]:
        plot.hover()
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked === undefined")
    assert trouble == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("img[src=x]").count() == 0
    page.context.close()


def test_the_policy_refuses_what_would_slip_through(browser: Any, run: Path, tmp_path: Path) -> None:
    text = write_report(run).read_text(encoding="utf-8")
    attack = (
        '<img src="data:," onerror="window.hacked=1"><script>window.hacked=1</script><img src="http://127.0.0.1:9/">'
    )
    (tmp_path / "page.html").write_text(text.replace("</main>", attack + "</main>", 1), encoding="utf-8")
    page, trouble = open_page(browser, tmp_path / "page.html", width=1280)
    assert page.evaluate("window.hacked === undefined")
    assert any("Content Security Policy" in line for line in trouble)
    page.context.close()
