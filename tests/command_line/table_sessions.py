"""A session with `first-order` on a table and the file of a model that knows its columns by name."""

import json
import signal

import numpy as np

from probly.data_generator.store import open_partial, open_store
from probly_data_generator_command_line import main
from tests.command_line.commands import finished, stopped


def check_table_session(folder, model, frame, labels, expected):
    """Kill a run, let the same command make the other rows, verify them and make the page.

    Args:
        folder: Where the file of the model is, which tells whose it is.
        model: Its name.
        frame: The columns that the model knows, 400 rows or so; the table has others, and another order.
        labels: A label per row.
        expected: The rows.

    Returns:
        The store.
    """
    table = frame[frame.columns[::-1]].assign(number=range(len(frame)), label=labels)
    table.to_parquet(folder / "data.parquet")
    words = ["generate", "--model", model, "--data", "data.parquet", "--out", "rows.fod"]
    words += ["--batch-size", "4", "--shard-seconds", "0.001"]
    process, _ = stopped(folder, *words, store="rows.fod")
    assert process.returncode == -signal.SIGKILL
    safe = len(open_partial(folder / "rows.fod"))
    assert 0 < safe < len(frame)
    assert json.loads(finished(folder, *words, "--json").stdout)["rows_before"] == safe
    store = open_store(folder / "rows.fod")
    np.testing.assert_array_equal(np.asarray(store), expected)
    assert store.labels.tolist() == list(labels)
    assert main(["verify", str(folder / "rows.fod")]) == 0
    page = folder / "page.html"
    assert main(["report", str(folder / "rows.fod"), "--out", str(page)]) == 0
    assert page.stat().st_size > 1000
    return store
