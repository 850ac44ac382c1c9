"""The frame of the app: who may look, which run, and the pages."""

from __future__ import annotations

import hmac
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from curate.core.errors import CurateError

from .images import Opened, open_run, stamp_of
from .looking import Look, Summary, summarise
from .texts import literal
from .views import audit, balance, clusters, identity, overlap, overview, review

#: url -> (title, icon, view)
PAGES: dict[str, tuple[str, str, Callable[[Look], None]]] = {
    "overview": ("Overview", ":material/monitoring:", overview.view),
    "review": ("Review", ":material/rule:", review.view),
    "identity": ("Identity", ":material/person:", identity.view),
    "clusters": ("Clusters", ":material/bubble_chart:", clusters.view),
    "overlap": ("Overlap", ":material/join_inner:", overlap.view),
    "balance": ("Balance", ":material/balance:", balance.view),
    "audit": ("Audit", ":material/query_stats:", audit.view),
}


def run_path() -> str:
    """The run folder that the user named: the first argument after `--`, else CURATE_RUN, else nothing."""
    arguments = [text for text in sys.argv[1:] if not text.startswith("-")]
    return arguments[0] if arguments else os.environ.get("CURATE_RUN", "")


def admitted() -> bool:
    """Whether the visitor may look: no token is set, or the address holds it.

    The token stays in the address, so that a page can be reloaded and shared with those who may see it.
    """
    token = os.environ.get("CURATE_APP_TOKEN", "")
    if not token:
        return True
    given = str(st.query_params.get("token", ""))
    if hmac.compare_digest(given.encode(), token.encode()):
        st.session_state["admitted"] = True
    if st.session_state.get("admitted"):
        st.query_params["token"] = token
        return True
    return False


_STYLE = """<style>
[data-testid="stMainBlockContainer"] {padding-top: 3.2rem}
[data-testid="stMetricValue"] {font-size: 1.6rem}
</style>"""


def _icon() -> Image.Image:
    """Two rings that overlap; drawn here, for named icons come from somebody's server."""
    y, x = np.mgrid[0:32, 0:32]
    icon = np.zeros((32, 32, 4), dtype=np.uint8)
    for centre, colour in ((11, (15, 127, 191)), (20, (224, 138, 0))):
        distance = np.hypot(x - centre, y - 15.5)
        icon[(distance > 6) & (distance < 10)] = (*colour, 255)
    return Image.fromarray(icon)


@st.cache_resource(max_entries=2, show_spinner="Reading the run")
def _opened(path: str, stamp: str) -> tuple[Opened, Summary]:
    opened = open_run(path)
    return opened, summarise(opened.run)


def warm(path: Path) -> None:
    """Read the run, and what single pages need on top, before anybody asks, so that no first visit is slow."""
    # Nobody is looking yet, so Streamlit's spinners have no page to turn on, and say so.
    logger = logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context")
    logger.addFilter(lambda record: "missing ScriptRunContext" not in record.getMessage())
    stamp = stamp_of(path)
    opened, summary = _opened(str(path), stamp)
    look = Look.of(path, opened, summary, stamp)
    review.warm(look)
    balance.warm(look)


def main() -> None:
    """Draw the page that the address names."""
    st.set_page_config(page_title="curate", layout="wide", page_icon=_icon())
    st.html(_STYLE)
    if not admitted():
        st.error("This address needs its token. Open the whole address that `curate app` printed.")
        return
    path = run_path()
    if not path:
        st.info("Name a run folder: `curate app RUN`, the one that `curate run --out` wrote.")
        return
    look: Look | None = None
    problem: Exception | None = None
    try:
        stamp = stamp_of(path)
        opened, summary = _opened(path, stamp)
        look = Look.of(Path(path), opened, summary, stamp)
    except (CurateError, OSError) as error:
        problem = error

    def page_of(view: Callable[[Look], None]) -> Callable[[], None]:
        def page() -> None:
            if look is None:
                st.error(literal(problem))
                return
            view(look)

        return page

    pages = {
        url: st.Page(page_of(view), title=title, icon=icon, url_path=url, default=url == "overview")
        for url, (title, icon, view) in PAGES.items()
    }
    current = st.navigation(list(pages.values()))
    if look is not None:
        with st.sidebar:
            st.caption(f"Run **{literal(look.run.name)}**")
    current.run()


__all__ = ["PAGES", "admitted", "main", "run_path", "warm"]
