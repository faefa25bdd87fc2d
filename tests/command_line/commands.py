"""Running `first-order` as users do: in this process where it is quick, in one of its own where that matters."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from probly_data_generator_command_line import main

# A shell that runs the tests in the background has set SIGINT to be ignored.
START = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from probly_data_generator_command_line import main; sys.exit(main(sys.argv[1:]))"
)


WITHOUT = """
import importlib.abc, json, sys
import importlib_metadata

hidden, found = json.loads(sys.argv.pop(1)), importlib_metadata.distributions
importlib_metadata.distributions = lambda: [one for one in found() if one.name.replace("-", "_") not in hidden]


class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Hidden())
from probly_data_generator_command_line import main

sys.exit(main(sys.argv[1:]))
"""


class Shell:
    """A folder, the commands that are run in it, and what the last one printed.

    Attributes:
        folder: Where commands run.
        out: The standard output of the last one.
        err: Its standard error.
    """

    def __init__(self, folder, capsys):
        self.folder, self.capsys = folder, capsys
        self.out = self.err = ""

    def run(self, line, *, code=0):
        """Run a command line without its first word in this process."""
        self.capsys.readouterr()
        answer = main(line.split())
        self.out, self.err = self.capsys.readouterr()
        assert answer == code, f"{line}: {answer}\n{self.out}\n{self.err}"
        return self.out

    def json(self, line, *, code=0):
        """Run it with --json and return what it prints."""
        return json.loads(self.run(f"{line} --json", code=code))

    def fails(self, line, code=2):
        """Run what must fail, and return its one paragraph."""
        self.run(line, code=code)
        assert "Traceback" not in self.err
        assert self.err.startswith("Error: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err


def command(*arguments):
    """Return the words that run a command in a process of its own."""
    return [sys.executable, "-c", START, *map(str, arguments)]


def finished(folder, *arguments, code=0, **environment):
    """Run a command in a process of its own to its end, and return the process."""
    variables = {**os.environ, **environment}
    done = subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True, env=variables)
    assert done.returncode == code, done.stderr + done.stdout
    return done


def without(folder, hidden, *arguments, code=0):
    """Run a command as if some of our distributions were not installed, and return the process."""
    words = [sys.executable, "-c", WITHOUT, json.dumps([name.replace("-", "_") for name in hidden]), *arguments]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == code, done.stderr + done.stdout
    return done


def stopped(folder, *arguments, store, signal_number=signal.SIGKILL):
    """Start a command, stop it by a signal when its store has published rows, and return the process and its errors."""
    process = subprocess.Popen(
        command(*arguments), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    shards = Path(folder, store, "shards")
    while process.poll() is None and not (
        shards.is_dir() and any(not name.startswith(".") for name in os.listdir(shards))
    ):
        time.sleep(0.005)
    assert process.poll() is None, f"it ended before it was stopped: {process.communicate()}"
    process.send_signal(signal_number)
    _, errors = process.communicate()
    return process, errors


def contents(folder):
    """Return every file under a folder with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
