"""``first-order convert``."""

import os
import tempfile
from pathlib import Path

import click

from probly.data_generator.distributions import Distributions
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.formats.choosing import format_of, save
from probly_data_generator_command_line import choices
from probly_data_generator_command_line.arguments import file_argument, json_option, subcommand
from probly_data_generator_command_line.errors import InputError
from probly_data_generator_command_line.opening import bytes_text, open_complete, size_of
from probly_data_generator_command_line.printing import emit
from probly_data_generator_command_line.stores import check_place, is_store_path

CARD = "README.md"


@subcommand(
    "convert",
    "first-order convert teacher.fod teacher.npz\nfirst-order convert teacher.npz small.fod --top-k 2"
    "\nfirst-order convert teacher.fod hub/test.parquet --card",
)
@file_argument("source")
@file_argument("target", choices.targets)
@click.option("--top-k", type=click.IntRange(1), help="Keep only the K largest numbers of a row (.fod).")
@click.option("--dtype", type=click.Choice(["float32", "float16"]), help="How a store keeps numbers (.fod).")
@click.option("--overwrite", is_flag=True, help="Replace TARGET; it stays as it is until the new one is complete.")
@click.option("--card", is_flag=True, help=f"Write {CARD} beside TARGET, too: a dataset card for a hub.")
@json_option
def convert(
    source: Path, target: Path, top_k: int | None, dtype: str | None, overwrite: bool, card: bool, as_json: bool
) -> None:
    """Write SOURCE, a store or a file of distributions, to TARGET; both suffixes name their format.

    Formats: .fod (the store), .csv, .json, .npz, .safetensors, .feather and .parquet (with the extra `parquet`), and
    those of other distributions, which `first-order backends --names` lists. Rows, labels, sample keys and metadata
    are kept. A store is read block by block, so memory does not grow with its rows, except for .json.
    """
    encoding = encoding_of(top_k, dtype)
    _check_target(source, target, encoding, overwrite)
    distributions = open_complete(source)
    text = _card(target, distributions, overwrite) if card else None
    if is_store_path(target):
        _write_store(target, distributions, encoding or "float32")
    else:
        save(target, distributions)
    size = size_of(target)
    lines = [f"{target}: {len(distributions):,} rows x {distributions.num_classes:,} classes, {bytes_text(size)}"]
    if text is not None:
        with replacing(target.with_name(CARD)) as file:
            file.write(text.encode())
        lines.append(f"{target.with_name(CARD)}: its dataset card; add a license to it")
    result = {"path": str(target), "rows": len(distributions), "classes": distributions.num_classes, "bytes": size}
    emit({**result, "card": None if text is None else str(target.with_name(CARD))}, lines, as_json)


def _card(target: Path, distributions: Distributions, overwrite: bool) -> str:
    """Return the dataset card of a file that is not written yet.

    Raises:
        InputError: There is one.
        ValueError: The file is none that a card is for.
    """
    place = target.with_name(CARD)
    if os.path.lexists(place) and not overwrite:
        message = f"{place}: exists, and was left as it is; leave out --card, or pass --overwrite"
        raise InputError(message)
    from probly.data_generator.store import dataset_card

    return dataset_card(distributions, target.name)


def encoding_of(top_k: int | None, dtype: str | None) -> str | None:
    """Return the name of a store's encoding, or None if nothing was asked for.

    Raises:
        InputError: Both were.
    """
    if top_k is not None and dtype is not None:
        message = "--top-k has a dtype of its own (float16); leave out --dtype"
        raise InputError(message)
    return dtype if top_k is None else f"top-{top_k}"


def _check_target(source: Path, target: Path, encoding: str | None, overwrite: bool) -> None:
    format_of(target)
    if encoding is not None and not is_store_path(target):
        message = f"{target}: --top-k and --dtype are for stores, which end in .fod"
        raise InputError(message)
    check_place(target)
    if os.path.lexists(target) and not overwrite:
        message = f"{target}: exists, and was left as it is; choose another path, or pass --overwrite"
        raise InputError(message)
    if os.path.lexists(target) and source.exists() and target.resolve() == source.resolve():
        message = f"{target}: is also the source; choose another path"
        raise InputError(message)


def _write_store(target: Path, distributions: Distributions, encoding: str) -> None:
    from probly.data_generator import store

    write = format_of(target).write
    store.replacing.check_replaceable(target)
    if not os.path.lexists(target):
        write(target, distributions, distributions.meta, encoding)
        return
    # A folder of its own: beside the target, a run of `generate --fresh` may be at work.
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", suffix=".part", dir=target.absolute().parent) as folder:
        fresh = Path(folder) / target.name
        write(fresh, distributions, distributions.meta, encoding)
        store.replacing.replace(target, fresh)
