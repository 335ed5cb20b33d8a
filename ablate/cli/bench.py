"""The command that measures what an agent costs on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablate.cli.options import JsonOption, OutputOption

if TYPE_CHECKING:
    from agents.benchmark import Workload

SWEEP = "bench_sweep"


def bench(
    size: Annotated[
        str, typer.Option(help="Size of the agent: atari, small, tiny, micro.")
    ] = "atari",
    precision: Annotated[str, typer.Option(help="Of the networks: fp32 or bf16.")] = "fp32",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads of a run.")] = 1,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Sequences of a batch.", show_default=False)
    ] = None,
    length: Annotated[
        int | None, typer.Option(min=2, help="Agent steps of a sequence.", show_default=False)
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Runs to measure side by side.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Updates to measure.")] = 5,
    sweep: Annotated[
        bool,
        typer.Option("--sweep", help="Draw the cost against batch, length, deter and horizon."),
    ] = False,
    output: OutputOption = None,
    json: JsonOption = False,
) -> None:
    """Measure updates, policy and environment beside this machine's product rate.

    Every update stands between two measurements of a large matrix product in the same precision:
    the limit. With one thread, seconds are those of the processor, so other processes hardly
    disturb them. Data is random.
    """
    from ablate.bench import BenchError, side_by_side, summary
    from ablate.cli.output import CommandError, check_folder, print_json, show

    check_folder(output)
    if sweep and runs > 1:
        raise CommandError("--sweep measures one run at a time: leave out --runs.")
    if output is not None and not sweep:
        raise CommandError("--output is where --sweep writes its figure: add --sweep.")
    settings = {"batch": batch, "length": length}
    workload = _workload(
        size, precision, device, threads, rounds, {k: v for k, v in settings.items() if v}
    )
    try:
        if sweep:
            _sweep(workload, output or Path(SWEEP), json=json)
            return
        measured = summary(side_by_side(workload, runs))
    except BenchError as error:
        raise CommandError(str(error)) from error
    if json:
        print_json({**_described(workload), **measured})
    else:
        show(*_texts(workload, measured))


def _workload(
    size: str, precision: str, device: str, threads: int, rounds: int, settings: dict[str, int]
) -> "Workload":
    """What is to be measured.

    Raises:
        CommandError: If a word means nothing, or the machine has no such device.
    """
    import torch

    from ablate.cli.output import CommandError
    from ablate.study import nearest
    from agents.benchmark import PRODUCT_SIZES, Workload
    from agents.config import SIZES
    from agents.precision import PRECISIONS

    words = (("size", size, SIZES), ("precision", precision, PRECISIONS))
    for option, word, known in (*words, ("device", device, PRODUCT_SIZES)):
        if word not in known:
            raise CommandError(f"--{option} {word} is not known; {nearest(word, list(known))}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise CommandError("--device cuda: torch finds no GPU on this machine; use --device cpu.")
    return Workload(size, settings, precision, device, threads, rounds)


def _described(workload: "Workload") -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(workload)


def _texts(workload: "Workload", measured: dict[str, Any]) -> list[Any]:
    from ablate.cli.output import table
    from ablate.progress import amount, counted

    clock = {"cpu": "processor", "wall": "wall"}[measured["clock"]]
    rows = [
        ("world-model update", f"{measured['seconds_per_world_model_update']:.4g} s"),
        ("behaviour update", f"{measured['seconds_per_behaviour_update']:.4g} s"),
        ("both", f"{measured['seconds_per_update']:.4g} s"),
        ("both, on the wall", f"{measured['wall_seconds_per_update']:.4g} s"),
        (f"updates per second of the {clock}", f"{measured['updates_per_second']:.4g}"),
        ("policy step", f"{1e3 * measured['seconds_per_policy_step']:.4g} ms"),
        ("environment steps per second", f"{measured['env_steps_per_second']:,.0f}"),
        ("arithmetic of an update", f"{measured['flop_per_update'] / 1e9:,.4g} GFLOP"),
        ("reached", f"{measured['flop_per_second'] / 1e9:,.4g} GFLOP/s"),
        ("limit: one large product", f"{measured['limit_flop_per_second'] / 1e9:,.4g} GFLOP/s"),
        ("fraction of the limit", f"{measured['fraction_of_limit']:.0%}"),
        ("peak memory", amount(int(measured["peak_memory_bytes"]))),
    ]
    if measured["runs"] > 1:
        rows.append(
            (
                "all runs, updates per second of the wall",
                f"{measured['updates_per_second_together']:.4g}",
            )
        )
        rows.append(("all runs, memory", amount(int(measured["peak_memory_bytes_together"]))))
    title = (
        f"{workload.size}, {workload.precision}, {workload.device}, "
        f"{counted(workload.threads, 'thread')}, {counted(measured['runs'], 'run')}"
    )
    return [
        table(title, ["what", "#median"], rows),
        f"Load {measured['load']:.1f}; seconds of the {clock}; "
        f"{counted(workload.rounds, 'round')}.",
    ]


def _sweep(workload: "Workload", output: Path, *, json: bool) -> None:
    from dataclasses import asdict

    from ablate.bench import sweep
    from ablate.cli.output import print_json, show
    from ablate.progress import counted
    from results.figures.drawn import save
    from results.figures.sweep import Point, draw

    points, clock = [], ""
    for found in sweep(workload):
        cost, clock = found.cost, found.cost.clock
        parts = cost.seconds_per_world_model_update, cost.seconds_per_behaviour_update
        shown = Point(found.setting, found.value, *parts, cost.fraction_of_limit, found.is_base)
        points.append(shown)
        if not json:
            show(f"{found.setting} = {found.value}: {cost.seconds_per_update:.4g} s per update")
    words = f"size {workload.size}, {workload.precision}, {workload.device}"
    words += f", {counted(workload.threads, 'thread')}, {counted(workload.rounds, 'round')} each"
    seconds = {"cpu": "processor seconds", "wall": "seconds"}[clock]
    drawn = draw(points, words, seconds=seconds)
    files = save(drawn, output.with_suffix(""))
    if json:
        print_json({**_described(workload), "points": [asdict(point) for point in points]})
    else:
        show("Written: " + ", ".join(map(str, files)))
