"""The options of ``first-order generate`` by which several workers fill one store."""

import os
from collections.abc import Mapping
from typing import Any

import click

from probly.data_generator.toolkit.places import Place, Url
from probly_data_generator_command_line.arguments import key_values
from probly_data_generator_command_line.choices import complete, engine_names
from probly_data_generator_command_line.errors import InputError

AUTO = (
    ("RANK", "WORLD_SIZE", None),  # torchrun, and most launchers
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),
    ("SLURM_PROCID", "SLURM_NTASKS", None),  # srun
)
"""The variables that say which process this is, of how many, and what the first one is called, if not 0."""
LOCAL = ("LOCAL_RANK", "SLURM_LOCALID")
"""Those that say which process of its machine it is."""


def _names(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str]:
    names = [] if value is None else [name.strip() for name in value.split(",")]
    if "" in names:
        message = f"expected names separated by commas, got {value!r}"
        raise click.BadParameter(message, ctx, param)
    return names


SHARING_OPTIONS = (
    click.option("--workers", type=click.IntRange(1), metavar="N", help="Fill the store by N processes."),
    click.option("--devices", callback=_names, metavar="NAMES", help="Those of the workers: cuda:0,cuda:1."),
    click.option(
        "--share", metavar="I/N", help="Be the I-th, from 0, of N processes; auto asks torchrun's or SLURM's variables."
    ),
    click.option(
        "--engine",
        metavar="NAME",
        shell_complete=complete(engine_names),
        help="What starts the workers, as ray; by default processes.",
    ),
    click.option("--engine-option", multiple=True, metavar="NAME=VALUE", help="What only the engine knows."),
    click.option("--shard-rows", type=click.IntRange(1), metavar="ROWS", help="The rows of a shard of a shared store."),
    click.option(
        "--tolerance",
        type=click.FloatRange(0, 1),
        default=0.0,
        metavar="T",
        help="Admit workers whose rows differ by T.",
    ),
)


def refuse_fresh(options: Mapping[str, Any], out: Place) -> None:
    """Refuse to replace the store of several processes, or one that cannot be replaced in one step.

    Raises:
        InputError: That was asked for.
    """
    if isinstance(out, Url):
        message = f"--fresh: an object store cannot replace {out} in one step; remove it first, or choose another --out"
        raise InputError(message)
    if options["share"] is not None:
        message = "--fresh: several processes cannot replace one store; remove it before they start"
        raise InputError(message)


def sharing_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``generate_distributions`` that say who fills the store.

    Raises:
        InputError: The options exclude each other, or ``auto`` finds no variables.
    """
    share = None if options["share"] is None else _share(options["share"])
    return {
        "workers": options["workers"],
        "devices": None if share is not None else options["devices"] or None,
        "share": share,
        "engine": options["engine"],
        "engine_options": key_values(options["engine_option"]) or None,
        "shard_rows": options["shard_rows"],
        "tolerance": options["tolerance"],
    }


def device_of(options: Mapping[str, Any]) -> str | None:
    """Return the device of this process: of several that share a store, each takes one of ``--devices``.

    Raises:
        InputError: ``--device`` is there, too.
    """
    names: list[str] = options["devices"]
    if options["device"] is not None and names:
        message = "--device and --devices exclude each other; --devices is for several workers"
        raise InputError(message)
    if options["share"] is None or not names:
        device: str | None = options["device"]
        return device
    local = next((os.environ[name] for name in LOCAL if name in os.environ), None)
    return names[(int(local) if local else _share(options["share"])[0]) % len(names)]


def _share(text: str) -> tuple[int, int]:
    if text != "auto":
        first, slash, count = text.partition("/")
        if not slash or not first.isdecimal() or not count.isdecimal() or not int(first) < int(count):
            message = f"--share {text}: expected I/N with I from 0 to N - 1, as 0/4, or auto"
            raise InputError(message)
        return int(first), int(count)
    for which, of, least in AUTO:
        if which in os.environ and os.environ.get(of, "1") != "1":
            return int(os.environ[which]) - int(os.environ.get(least or "", "0")), int(os.environ[of])
    if any(which in os.environ for which, _, _ in AUTO):
        return 0, 1
    names = ", or ".join(f"{which} and {of}" for which, of, _ in AUTO)
    message = f"--share auto: expected the variables {names}, and none of them is set; pass I/N"
    raise InputError(message)
