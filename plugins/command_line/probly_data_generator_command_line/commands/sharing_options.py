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
    ("RANK", "WORLD_SIZE"),  # torchrun, and most launchers
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"),
    ("SLURM_PROCID", "SLURM_NTASKS"),  # srun
)
"""The variables that say which process this is, and of how many."""
FIRST, STEP, LAST = "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP", "SLURM_ARRAY_TASK_MAX"
"""How an array counts. Of one such as 3,17, which computes again what has failed, those in between have a share, too:
whoever is there takes what is missing in the end."""
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
    local = next((name for name in LOCAL if name in os.environ), None)
    return names[(_number(local) if local else _share(options["share"])[0]) % len(names)]


def _share(text: str) -> tuple[int, int]:
    if text != "auto":
        first, slash, count = text.partition("/")
        if not slash or not first.isdecimal() or not count.isdecimal() or not int(first) < int(count):
            message = f"--share {text}: expected I/N with I from 0 to N - 1, as 0/4, or auto"
            raise InputError(message)
        return int(first), int(count)
    return _share_of_launcher()


def _share_of_launcher() -> tuple[int, int]:
    for which, of in AUTO:
        if which in os.environ and os.environ.get(of, "1") != "1":
            number, count = _number(which), _number(of)
            if which == "SLURM_ARRAY_TASK_ID":
                first, step = _number(FIRST, 0), max(_number(STEP, 1), 1)
                last = _number(LAST, first + (count - 1) * step)
                number, count = (number - first) // step, (last - first) // step + 1
            if not 0 <= number < count:
                message = f"--share auto: {which} and {of} say {number} of {count}, counted from 0; pass I/N"
                raise InputError(message)
            return number, count
    if any(which in os.environ for which, _ in AUTO):
        return 0, 1
    names = ", or ".join(f"{which} and {of}" for which, of in AUTO)
    message = f"--share auto: expected the variables {names}, and none of them is set; pass I/N"
    raise InputError(message)


def _number(name: str, default: int | None = None) -> int:
    text = os.environ.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        message = f"--share auto: {name}: expected a number, got {text!r}; pass I/N"
        raise InputError(message)
    return int(text)
