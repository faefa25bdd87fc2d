"""A file of a model on the command line: killed in mid-run, the same command again, verify and report."""

import signal

import numpy as np

from probly.data_generator.store import open_partial, open_store
from tests.command_line.commands import stopped


def check_killed_file(shell, model, inputs, labels, expected, tolerance=1e-6):
    """Check that a run that is killed ends with the rows of one that is not.

    Args:
        shell: See ``tests.command_line.commands.Shell``.
        model: The path of a file, whose suffix tells its backend.
        inputs: Some thousand rows, so that there is time to stop it.
        labels: A class for each.
        expected: The rows.
        tolerance: What these may be apart by.
    """
    np.savez(shell.folder / "data.npz", inputs=inputs, labels=labels)
    line = f"generate --model {model} --data data.npz --out a.fod --batch-size 1 --shard-seconds 0.001"
    process, _ = stopped(shell.folder, *line.split(), store="a.fod")
    assert process.returncode == -signal.SIGKILL
    safe = len(open_partial(shell.folder / "a.fod"))
    assert 0 < safe < len(inputs)
    assert shell.json(line)["rows_before"] == safe
    store = open_store(shell.folder / "a.fod")
    np.testing.assert_allclose(np.asarray(store), expected, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(store.labels, labels)
    assert shell.json("verify a.fod")["ok"]
    shell.run("report a.fod --out report.html")
    assert "</html>" in (shell.folder / "report.html").read_text(encoding="utf-8")
