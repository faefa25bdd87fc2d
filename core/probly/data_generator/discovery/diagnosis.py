"""Telling what a backend is, what it runs on, and what is wrong with it, whatever that is."""

import json
import re
import signal
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from probly.data_generator.discovery.listing import find_backend, known_backends
from probly.data_generator.discovery.requirements import framework_versions, unmet
from probly.data_generator.errors import BackendError

if TYPE_CHECKING:
    import subprocess

SECONDS = 300.0


@dataclass(frozen=True)
class BackendReport:
    """The state of one backend; ``print(report)`` shows it.

    Attributes:
        name: The name in metadata and messages; the name that was asked for, if no backend has it.
        aliases: All names it answers to.
        distribution: What provides it, or would provide it; None for an unknown or ambiguous name.
        version: The installed version of that, or None.
        frameworks: The installed version of each framework library that it requires.
        devices: The device names that can be used here; empty if it does not tell, or does not work.
        problem: What is wrong and what to do, or None if it works.

    Examples:
        >>> print(BackendReport("mine", ("mine",), "my-backend", "1.0", {"my-arrays": "2.3"}, ("cpu",), None))
        mine: works
          distribution  my-backend 1.0
          framework     my-arrays 2.3
          devices       cpu
    """

    name: str
    aliases: tuple[str, ...]
    distribution: str | None = None
    version: str | None = None
    frameworks: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    problem: str | None = None

    def __str__(self) -> str:
        """Return a few lines to read."""
        others = [alias for alias in self.aliases if alias != self.name]
        lines = {
            "also called": ", ".join(others),
            "distribution": " ".join(filter(None, (self.distribution, self.version))),
            "framework": ", ".join(f"{name} {version}" for name, version in self.frameworks.items()),
            "devices": ", ".join(self.devices),
        }
        shown = [f"{self.name}: {'does not work' if self.problem else 'works'}"]
        shown += [f"  {title:<12}  {text}" for title, text in lines.items() if text]
        if self.problem:
            shown.append(textwrap.fill(f"problem       {self.problem}", 100, initial_indent="  ", **_HANGING))
        return "\n".join(shown)


_HANGING: Any = {"subsequent_indent": " " * 16, "break_long_words": False, "break_on_hyphens": False}


def check_backend(name: str, *, timeout: float = SECONDS) -> BackendReport:
    """Return what a backend is and runs on, or what is wrong with it and what to do; never raises for its sake.

    The backend and its framework are imported in another process: a plugin that crashes its interpreter takes nobody
    down, and no framework is left in yours. That costs the start of an interpreter and the import of the framework.

    Args:
        name: A name or alias, installed or not.
        timeout: The seconds after which a backend that does not answer is given up.

    Examples:
        >>> report = check_backend("numpy")
        >>> report.name, report.aliases, report.devices, report.problem
        ('numpy', ('agnostic', 'numpy'), ('cpu',), None)
        >>> check_backend("nope").problem.startswith("Unknown framework: nope")
        True
    """
    try:
        info = find_backend(name)
    except BackendError as error:
        return BackendReport(name, (name,), known_backends().get(name), problem=_paragraph(str(error)))
    found, problems = _inspect(name, timeout)
    # What is missing is the cause of what fails after it.
    problems = [*unmet(info.distribution), *problems]
    return BackendReport(
        info.name,
        info.aliases,
        info.distribution,
        info.version,
        framework_versions(info.distribution, info.aliases),
        tuple(found),
        " ".join(map(_paragraph, problems)) or None,
    )


def _inspect(name: str, timeout: float) -> tuple[list[str], list[str]]:
    """Return the devices of a backend and its problems, from a process with the same import path."""
    import subprocess  # noqa: PLC0415  # listing backends starts no process

    code = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {0} import answer; answer(sys.argv[2])"
    code = code.format("probly.data_generator.discovery.inspection")
    command = [sys.executable, "-X", "faulthandler", "-c", code, json.dumps(sys.path), name]
    try:
        done = subprocess.run(  # noqa: S603  # this interpreter
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        last = _last_words(error.stderr or b"")
        return [], [f"It did not answer within {timeout:g} seconds{last}; look at what its module does when imported."]
    except (OSError, ValueError) as error:
        return [], [f"It could not be checked: no other interpreter can be started ({error})."]
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        return [], [_describe_end(done)]
    return answer["devices"], answer["problems"]


def _describe_end(done: "subprocess.CompletedProcess[bytes]") -> str:
    status = f"exit status {done.returncode}"
    if done.returncode < 0:
        number = -done.returncode
        names = {member.value: member.name for member in signal.Signals}
        status = f"signal {names.get(number, number)}"
    return (
        f"It ended its interpreter while it was imported or listed its devices ({status}){_last_words(done.stderr)}; "
        "it would take your process down, too: reinstall or uninstall it."
    )


def _last_words(errors: bytes) -> str:
    """Return where a crashed process was, or the last line that it printed."""
    text = errors.decode(errors="replace")
    crash = re.search(r"^(Fatal Python error: .*|Windows fatal exception: .*)$", text, re.MULTILINE)
    frames = re.findall(r'^  File "(?!<)(.*)", line (\d+)', text[crash.end() :], re.MULTILINE) if crash else []
    if crash:
        return f": {crash[1]}" + (f" at {frames[0][0]}, line {frames[0][1]}" if frames else "")
    lines = text.strip().splitlines()
    return f": {lines[-1]}" if lines else ""


def _paragraph(text: str) -> str:
    """Return a text on one line that ends like a sentence."""
    line = " ".join(text.split())
    return line if line.endswith((".", "?", "!")) else f"{line}."
