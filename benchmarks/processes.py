"""Work in a process of its own, and the memory that it takes."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path


def figures_of(script, *arguments):
    """Yield what a script of this folder sends, line by line, while it runs.

    Raises:
        SystemExit: It failed; its messages are on standard error.
    """
    command = [sys.executable, str(Path(script).resolve()), *map(str, arguments)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}  # how TensorFlow was built is no figure
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=quiet) as process:
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)[:200]} ended with code {process.returncode}")


def sender():
    """Return a function that sends a line of figures; what libraries print goes to standard error from now on."""
    figures = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return lambda found: print(json.dumps(found), file=figures)


def memory(field):
    """Return a figure of this process in MB: VmHWM, the peak of all its memory, or RssAnon, without mapped files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"this system does not tell {field}; memory is measured on Linux only")


@contextlib.contextmanager
def watched(field, every=0.005):
    """Yield a list that ends with the largest figure seen within the block."""
    seen, done = [memory(field)], threading.Event()

    def watch():
        while not done.wait(every):
            seen[:] = [max(seen[0], memory(field))]

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
        seen[:] = [max(seen[0], memory(field))]
