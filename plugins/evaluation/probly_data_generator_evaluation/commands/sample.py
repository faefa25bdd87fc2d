"""``first-order sample``."""

import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click
import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import Distributions
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.toolkit.places import Place
from probly_data_generator_evaluation.blocks import rows_of
from probly_data_generator_evaluation.commands.given import column_names
from probly_data_generator_evaluation.commands.shared import (
    a_path,
    check_new,
    emit,
    file_argument,
    json_option,
    opened,
    seed_option,
    subcommand,
)
from probly_data_generator_evaluation.sampling import sample_labels

NUMBERS_AT_ONCE = 2**20
Integers = npt.NDArray[np.int64]


@subcommand(
    "sample",
    "first-order sample teacher.fod --n 10 --out labels.csv\n"
    "first-order sample teacher.fod --n 50 --seed 7 --counts --out counts.npz",
)
@file_argument
@click.option("--n", default=1, show_default=True, type=click.IntRange(1), help="How many labels per row.")
@seed_option("A label depends on it, and on the row and its index, alone.")
@click.option("--counts", is_flag=True, help="Write how often each class was drawn, not each label.")
@click.option("--out", required=True, type=a_path, help="A new .npz or .csv.")
@json_option
def sample(file: Place, n: int, seed: int, counts: bool, out: Path, as_json: bool) -> None:
    """Draw labels from the distributions in FILE, as if they were true: then p(y|x) is known exactly.

    A .npz has `labels`, as class positions, or `counts`, and `indices` and `class_names`. A .csv has a line per label
    with `index` and `label`, or per row with `index` and a count per class; `evaluate` and `calibrate` read both as
    --votes. What is drawn depends on nothing but the seed and the index of each row.
    """
    check_new(out)
    write = {".npz": _write_npz, ".csv": _write_csv}.get(out.suffix)
    if write is None:
        message = f"{out}: expected a file ending in .npz or .csv as --out"
        raise ValueError(message)
    distributions = opened(file)
    with replacing(out) as target:
        write(target, distributions, n, seed, counts)
    what = f"{n:,} label{'s' if n > 1 else ''} for each of {len(distributions):,} rows"
    result = {"path": str(file), "out": str(out), "rows": len(distributions), "n": n, "seed": seed, "counts": counts}
    emit(result, [f"{out}: {what}{', counted' if counts else ''}, seed {seed}"], as_json)


def _drawn(distributions: Distributions, n: int, seed: int, counts: bool) -> Iterator[tuple[Integers, Integers]]:
    """Yield indices and what was drawn block by block; cutting changes nothing, as each index has its own draws."""
    rows = rows_of(distributions)
    step = max(1, NUMBERS_AT_ONCE // max(rows.classes, n))
    for start in range(0, len(rows), step):
        part = rows.take(np.arange(start, min(start + step, len(rows))))
        yield part.indices, sample_labels(part, n, seed, counts=counts)


def _write_npz(target: BinaryIO, distributions: Distributions, n: int, seed: int, counts: bool) -> None:
    name, width = ("counts", distributions.num_classes) if counts else ("labels", n)
    beside: dict[str, npt.NDArray[Any]] = {"indices": np.asarray(distributions.indices)}
    if distributions.class_names is not None:
        beside["class_names"] = np.asarray(distributions.class_names, np.str_)
    header = {"descr": "<i8", "fortran_order": False, "shape": (len(distributions), width)}
    with zipfile.ZipFile(target, "w") as archive:
        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for _, drawn in _drawn(distributions, n, seed, counts):
                member.write(drawn.astype("<i8", copy=False).tobytes())
        for key, values in beside.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


def _write_csv(target: BinaryIO, distributions: Distributions, n: int, seed: int, counts: bool) -> None:
    names = column_names(distributions)
    text = io.TextIOWrapper(target, encoding="utf-8", newline="")
    # Numbers alone are not quoted: a name may have any character in it.
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(["index", *(names if counts else ["label"])])
    for indices, drawn in _drawn(distributions, n, seed, counts):
        if counts:
            writer.writerows([index, *row] for index, row in zip(indices.tolist(), drawn.tolist(), strict=True))
        else:
            said = [names[column] for column in drawn.ravel().tolist()]
            writer.writerows(zip(np.repeat(indices, n).tolist(), said, strict=True))
    text.flush()
    text.detach()  # or its end would close the file before it is published
