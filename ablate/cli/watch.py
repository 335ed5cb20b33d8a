"""Commands that watch: what happened to a run, and whether this machine can train any."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.options import DATABASE, DatabaseOption, JsonOption

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from results.database.history import Happening

FOLLOW_EVERY_S = 1.0

UNWELL = 1
"""Exit code when something keeps runs from being trained."""


def logs(
    run: Annotated[int, typer.Argument(help="Id of a run; `ablate status STUDY` shows them.")],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")
    ] = False,
    origin: Annotated[
        bool,
        typer.Option("--origin", help="Show code, packages, device and command of each attempt."),
    ] = False,
    sources: Annotated[
        Path | None,
        typer.Option(help="Unpack the source files that queued the run here.", show_default=False),
    ] = None,
    db: DatabaseOption = DATABASE,
    json: JsonOption = False,
) -> None:
    """Show what happened to a run: who took it, where it went on, and why it ended."""
    from ablate.cli.output import CommandError, print_json
    from results.database import history, reading
    from results.database.engine import open_database

    if json and follow:
        raise CommandError("--json prints what there is at once and cannot --follow.")
    engine = open_database(db)
    found = history.happenings(engine, run)
    if sources is not None:
        _unpack(engine, run, sources)
        return
    if origin:
        _show_origins(engine, run, json=json)
        return
    if json:
        print_json([_plain(one) for one in found])
        return
    typer.echo(f"Run {run}: {reading.run_label(engine, run)}")
    last, progress = 0, (-1, -1)
    while True:
        for one in found:
            typer.echo(_line(one))
            last = one.id
        state, now = history.progress(engine, run)
        if state == "running" and now != progress:
            typer.echo(f"{'':21}{now[0]:,} env frames, {now[1]:,} updates")
            progress = now
        if not follow or state not in ("queued", "running"):
            return
        time.sleep(FOLLOW_EVERY_S)
        found = history.happenings(engine, run, after=last)


def _unpack(engine: "Engine", run: int, folder: Path) -> None:
    import io
    import shlex
    import tarfile

    from ablate.cli.output import CommandError
    from results.database.provenance import sources_of

    packed = sources_of(engine, run)
    if packed is None:
        raise CommandError(f"Nobody kept the source files that queued run {run}.")
    if folder.exists():
        raise CommandError(f"--sources {folder}: it is there already; name a new folder.")
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:xz") as archive:
        archive.extractall(folder, filter="data")
    home = shlex.quote(str(folder))  # -P: a folder `ablate` here would come first
    typer.echo(f"Unpacked into {folder}: PYTHONPATH={home} python -P -m ablate ... runs them.")


def _show_origins(engine: "Engine", run: int, *, json: bool) -> None:
    from dataclasses import asdict

    from ablate.cli.output import print_json
    from results.database.provenance import attempt_origins

    found = attempt_origins(engine, run)
    if json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        typer.echo(f"attempt {one.number}: {one.device_model or one.device} on {one.host}")
        if one.sources_sha256 is None:
            typer.echo("    nobody wrote down with what")
            continue
        same = one.submitted_sha256 in (None, one.sources_sha256)
        queued = "as queued" if same else f"queued with {str(one.submitted_sha256)[:12]}"
        changed = ", with changes that are not committed" if one.has_diff else ""
        commit = f"commit {one.commit}{changed}" if one.commit else "no checkout"
        typer.echo(f"    code {one.sources_sha256[:12]} ({queued}), {commit}")
        typer.echo(f"    Python {one.python}, driver {one.driver or 'none'}")
        typer.echo(f"    {one.command}")


def doctor(db: DatabaseOption = DATABASE, json: JsonOption = False) -> None:
    """Look for what keeps runs from being trained here, and say what to do about it."""
    from dataclasses import asdict

    from ablate.cli.output import print_json
    from ablate.devices import ThisMachine
    from ablate.doctor import examine

    findings = examine(db, ThisMachine())
    if json:
        print_json([asdict(one) for one in findings])
    else:
        for one in findings:
            typer.echo(f"{'ok ' if one.is_well else 'BAD'} {one.what}: {one.words}")
            if one.remedy:
                typer.echo(f"      {one.remedy}")
    if not all(one.is_well for one in findings):
        raise typer.Exit(UNWELL)


def _line(one: "Happening") -> str:
    """One event; what is long goes below it."""
    where = "" if one.attempt is None else f", attempt {one.attempt}"
    if one.kind == "claimed" and one.place is not None:
        where += f", by {one.place}"
    head = f"{one.at.astimezone():%Y-%m-%d %H:%M:%S}  {one.kind}{where}"
    if one.detail is None:
        return head
    if "\n" not in one.detail.strip():
        return f"{head}: {one.detail.strip()}"
    return "\n".join([head, *(f"    {line}" for line in one.detail.rstrip().splitlines())])


def _plain(one: "Happening") -> dict[str, object]:
    return {
        "at": one.at.isoformat(),
        "kind": one.kind,
        "attempt": one.attempt,
        "place": one.place,
        "env_frames": one.env_frames,
        "detail": one.detail,
    }
