"""Verbs to look at a run: app (Streamlit) and fiftyone."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from curate.cli.shared import RunFolderArgument, app, console


@app.command(name="app")
def look(
    run: RunFolderArgument,
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 8501,
    address: Annotated[str, typer.Option("--address", help="Where to listen; others need the printed token.")] = (
        "127.0.0.1"
    ),
) -> None:
    """Look at a run and review it in the browser (Streamlit)."""
    import importlib.util
    import secrets
    import subprocess

    from curate.core.bundled import bundled, bundled_module
    from curate.core.errors import MissingExtra
    from curate.recipe.store import RunFolder

    RunFolder(run).plan()
    if importlib.util.find_spec("streamlit") is None:
        raise MissingExtra("streamlit", "app", "curate app")
    os.environ["CURATE_RUN"] = str(run.resolve())
    os.environ.pop("CURATE_APP_TOKEN", None)
    shown = f"[{address}]" if ":" in address else address
    where = f"http://{shown}:{port}/"
    if not _is_local(address):
        os.environ["CURATE_APP_TOKEN"] = token = secrets.token_urlsafe(24)
        where += f"?token={token}"
    # A process of its own: fitting must not keep the pages waiting.
    preparing = subprocess.Popen([sys.executable, "-m", "curate.recipe.looking", str(run)])
    bundled_module("app", "shell").warm(run.resolve())
    console.print(f"{where}  (Ctrl-C ends it)", markup=False, highlight=False)
    try:
        _serve(bundled("app"), address, port)
    finally:
        preparing.terminate()


def _serve(folder: Path, address: str, port: int) -> None:
    """Run Streamlit in this process, which has read the run already; it ends with SystemExit."""
    from streamlit.web import cli

    cli.main(
        [
            "run", str(folder / "main.py"), "--server.headless", "true", "--server.address", address, "--server.port",
            str(port), "--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none",
            "--client.toolbarMode", "minimal", "--theme.base", str(folder / "theme.toml"), "--logger.level", "warning",
            "--logger.hideWelcomeMessage", "true",
        ],
        prog_name="streamlit",
    )  # fmt: skip


def _is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


@app.command()
def fiftyone(
    run: RunFolderArgument,
    pull: Annotated[bool, typer.Option("--pull", help="Turn curate:drop, curate:keep, curate:move=NAME tags into "
                                                      "decisions.")] = False,
    push_only: Annotated[bool, typer.Option("--push-only", help="Write the dataset, open no App.")] = False,
    name: Annotated[str | None, typer.Option("--name", help="The dataset; default curate- and the run's name.")] = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 5151,
) -> None:  # fmt: skip
    """Write a run into a FiftyOne dataset and open its App; or read a person's tags back with --pull."""
    from curate.core.bundled import bundled_module
    from curate.recipe.looking import prepare
    from curate.recipe.store import RunFolder

    RunFolder(run).plan()
    if pull:
        pulled = bundled_module("app", "bridge.pull").pull(run, name, reviewer=_user())
        console.print(f"{pulled.decided:,} decisions read, {pulled.withdrawn:,} taken back", highlight=False)
        if pulled.decided or pulled.withdrawn:
            console.print(f"To carry them out: curate run {run}", markup=False, highlight=False)
        return
    prepare(run)
    dataset = bundled_module("app", "bridge.push").push(run, name)
    console.print(f"{len(dataset):,} images in the FiftyOne dataset {dataset.name}", markup=False, highlight=False)
    if not push_only:
        import fiftyone as fo

        session = fo.launch_app(dataset, port=port, address="127.0.0.1", remote=True)
        console.print(f"http://127.0.0.1:{port}  (Ctrl-C ends it)", markup=False, highlight=False)
        session.wait(-1)


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "fiftyone"
