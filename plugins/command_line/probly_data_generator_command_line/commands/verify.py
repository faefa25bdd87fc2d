"""``first-order verify``."""

from pathlib import Path

from probly.data_generator.errors import StoreError
from probly.data_generator.formats.choosing import format_of
from probly_data_generator_command_line.arguments import file_argument, json_option, subcommand
from probly_data_generator_command_line.opening import check_there, missing_rows, open_any
from probly_data_generator_command_line.printing import emit
from probly_data_generator_command_line.stores import as_store

DIGEST = "the digest of rows, indices, labels and class names"


@subcommand("verify", "first-order verify teacher.fod")
@file_argument("file")
@json_option
def verify(file: Path, as_json: bool) -> int:
    """Check every byte and every row of FILE, a store or a file of distributions; nothing is changed.

    Every row must be a distribution, and every checksum that the file has is compared. What is said in the end names
    these: a format without checksums cannot tell a changed number from the one that was written, unless the file has
    the digest that files of ours have. The exit code is 1 if anything is wrong or rows are missing, with one line for
    each damaged part.
    """
    checked: list[str] = []
    try:
        check_there(file)
    except StoreError as error:
        problems, rows = [str(error)], None
    else:
        problems, rows = _problems(file, checked)
    lines = [*problems, f"{file}: {len(problems)} {'problem' if len(problems) == 1 else 'problems'}"]
    if not problems:
        lines = [f"{file}: all {rows:,} rows are distributions; {_said(checked)}"]
    result = {"path": str(file), "ok": not problems, "rows": rows, "checked": checked, "problems": problems}
    emit(result, lines, as_json)
    return int(bool(problems))


def _problems(path: Path, checked: list[str]) -> tuple[list[str], int | None]:
    """Return what is wrong, and the number of rows if that can be told; what was compared is added to a list."""
    try:
        distributions = open_any(path)
    except StoreError as error:
        return [str(error)], None
    checked += getattr(format_of(path), "CHECKED", ())
    store = as_store(distributions)
    if store is None:  # reading a file checks all of it
        checked += [DIGEST] if distributions.digest else []
        return [], len(distributions)
    problems = []
    try:
        store.verify()
    except StoreError as error:
        problems += str(error).splitlines()
    if not store.complete:
        text = f"{path}: {missing_rows(store)}; the same `first-order generate` command completes it"
        problems.append(text)
    return problems, len(store)


def _said(checked: list[str]) -> str:
    if not checked:
        return (
            "nothing else could be compared, because the file has no checksums and no digest, as those of other "
            "programs and of version 0.1: a number, label or name that was changed goes unnoticed"
        )
    alone = ", and the other metadata with nothing" if checked == [DIGEST] else ""
    return f"compared with what was written: {', '.join(checked)}{alone}"
