"""What is safe when a run ends before its time, and how to continue it."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from probly.data_generator.errors import StoreError
from probly.data_generator.toolkit.places import Place
from probly_data_generator_command_line.errors import INTERRUPTED, TERMINATED, StoppedError
from probly_data_generator_command_line.stores import is_store_path


@contextmanager
def explaining_stops(target: Place) -> Iterator[None]:
    """Say what is safe in a store and how to continue it if the block ends before its time.

    Raises:
        StoppedError: Ctrl-C or SIGTERM came.
    """
    before = safe_rows(target)[0]
    try:
        yield
    except KeyboardInterrupt as error:
        raise StoppedError(_how(target), INTERRUPTED) from error
    except SystemExit as error:  # what SIGTERM becomes while a store is written
        if error.code != TERMINATED:  # the user's own code called it
            _add_safe_rows(error, target, before)
            raise
        raise StoppedError(_how(target), TERMINATED) from error
    except StoreError as error:
        if of_another_run(error) and is_store_path(target) and isinstance(target, Path):
            error.add_note("--fresh replaces it")
        raise
    except Exception as error:
        _add_safe_rows(error, target, before)
        raise


def of_another_run(error: StoreError) -> bool:
    """Return whether a store was refused because another model, other data or settings began it."""
    return any(words in str(error) for words in ("begun by another run", "changed since the store was begun"))


def _add_safe_rows(error: BaseException, target: Place, before: int) -> None:
    safe = safe_rows(target)[0]
    if safe > before:  # else the run had hardly begun, and perhaps cannot
        error.add_note(
            f"{safe:,} rows are safe in {target}, and the same command continues from there; if data, weights or "
            f"settings have to change, {_how_to_begin_anew(target)}"
        )


def _how_to_begin_anew(target: Place) -> str:
    if isinstance(target, Path):
        return "pass --fresh, too, which begins anew"
    return "choose another --out: an object store cannot be replaced in one step"


def _how(target: Place) -> str:
    program, arguments = click.get_current_context().obj
    command = f"{program} {shlex.join(arguments)}"
    rows = ""
    if is_store_path(target):  # what other formats have is for them to know
        safe, total = safe_rows(target)
        rows = f" {safe:,}{'' if total is None else f' of {total:,}'} rows are safe in {target}."
    return f"Stopped.{rows} To continue, run the same command again: {command}"


def safe_rows(target: Place) -> tuple[int, int | None]:
    """Return how many rows a store has published, and how many it will have, if that is known."""
    if not is_store_path(target) or (isinstance(target, Path) and not os.path.lexists(target)):
        return 0, None
    from probly.data_generator.store import open_partial  # which formats of others do without

    try:
        store = open_partial(target)
    except (StoreError, OSError):
        return 0, None
    return len(store), store.spec.rows
