"""``first-order finish``."""

from pathlib import Path

from probly.data_generator.errors import StoreError
from probly.data_generator.formats.choosing import sharing
from probly_data_generator_command_line.arguments import file_argument, json_option, subcommand
from probly_data_generator_command_line.opening import check_there
from probly_data_generator_command_line.printing import emit
from probly_data_generator_command_line.remedies import here


@subcommand("finish", "first-order finish teacher.fod")
@file_argument("store")
@json_option
def finish(store: Path, as_json: bool) -> int:
    """Complete STORE, which several workers have filled, where none of them is left to do so.

    Workers complete a store themselves; this is for the case that the last one of them died in between. No model and no
    data are needed. If shards are missing, it says how many, and the exit code is 1; a store that is complete stays as
    it is.
    """
    check_there(store)
    try:
        found = sharing(store).finish(store, [])
    except StoreError as error:
        problem = str(error) + here(str(error))
        emit({"path": str(store), "complete": False, "problem": problem}, [problem], as_json)
        return 1
    line = f"{store}: complete, {len(found):,} rows x {found.num_classes:,} classes"
    emit({"path": str(store), "complete": True, "rows": len(found), "classes": found.num_classes}, [line], as_json)
    return 0
