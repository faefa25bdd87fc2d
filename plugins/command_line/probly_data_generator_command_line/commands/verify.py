"""``first-order verify``."""

from pathlib import Path

from probly.data_generator.errors import StoreError
from probly_data_generator_command_line.arguments import file_argument, json_option, subcommand
from probly_data_generator_command_line.opening import check_there, missing_rows, open_any
from probly_data_generator_command_line.printing import emit
from probly_data_generator_command_line.stores import as_store


@subcommand("verify", "first-order verify teacher.fod")
@file_argument("file")
@json_option
def verify(file: Path, as_json: bool) -> int:
    """Check every byte and every row of FILE, a store or a file of distributions; nothing is changed.

    Every checksum is compared, and every row must be a distribution. The exit code is 1 if anything is wrong or rows
    are missing, with one line for each damaged part.
    """
    try:
        check_there(file)
    except StoreError as error:
        problems, rows = [str(error)], None
    else:
        problems, rows = _problems(file)
    lines = [*problems, f"{file}: {len(problems)} {'problem' if len(problems) == 1 else 'problems'}"]
    if not problems:
        lines = [f"{file}: all {rows:,} rows are distributions, and every checksum is right"]
    emit({"path": str(file), "ok": not problems, "rows": rows, "problems": problems}, lines, as_json)
    return int(bool(problems))


def _problems(path: Path) -> tuple[list[str], int | None]:
    """Return what is wrong, and the number of rows if that can be told."""
    try:
        distributions = open_any(path)
    except StoreError as error:
        return [str(error)], None
    store = as_store(distributions)
    if store is None:  # reading a file checks all of it
        return [], len(distributions)
    problems = []
    try:
        store.verify()
    except StoreError as error:
        lines = str(error).splitlines()
        problems += [f"{line}; remove that shard, and the same `first-order generate` makes it again" for line in lines]
    if not store.complete:
        text = f"{path}: {missing_rows(store)}; the same `first-order generate` command completes it"
        problems.append(text)
    return problems, len(store)
