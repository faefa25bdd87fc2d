"""``first-order backends``."""

from dataclasses import asdict, replace
from typing import Any

import click

from probly.data_generator.discovery.diagnosis import BackendReport, check_backend
from probly.data_generator.discovery.listing import COMMANDS, FORMATS, WRAPPERS, known_backends, list_backends
from probly.data_generator.installing import install_advice
from probly_data_generator_command_line.arguments import json_option, subcommand
from probly_data_generator_command_line.choices import backend_names, complete
from probly_data_generator_command_line.plugins import provided
from probly_data_generator_command_line.printing import emit, escaped

OTHERS = {"wrappers": WRAPPERS, "formats": FORMATS, "commands": COMMANDS}
"""What else can be installed; it is listed, not checked."""


@subcommand("backends", "first-order backends numpy\nfirst-order backends --names")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete(backend_names))
@click.option("--names", "only_names", is_flag=True, help="Only list what is installed; import nothing.")
@json_option
def backends(names: tuple[str, ...], only_names: bool, as_json: bool) -> int:
    """Check backends: what each runs on, its devices, or what is wrong and what to install.

    Without NAME all installed ones are checked, each in a process of its own, which imports its framework and so takes
    some seconds; the installed wrappers, formats and commands are listed, too, with the distributions that provide
    them. The exit code is 1 if one of the backends that were checked does not work.
    """
    installed = list_backends()
    if only_names:
        infos = {name: f"{info.distribution} {info.version}" for name, info in sorted(installed.items())}
        listed = {"installed": infos, "not_installed": _missing(), **_others()}
        lines = [f"{name}: {distribution}" for name, distribution in infos.items()]
        emit(listed, [*lines, *_missing_lines(), *_other_lines()], as_json)
        return 0
    chosen = list(names) or sorted({info.name for info in installed.values()})
    reports = [check_backend(name) for name in chosen]
    result: dict[str, Any] = {"backends": [{**asdict(report), "works": not report.problem} for report in reports]}
    lines = [line for report in reports for line in str(_printable(report)).split("\n")]
    if names:
        result["not_installed"] = {}
    else:
        result |= {"not_installed": _missing(), **_others()}
        lines += [*_missing_lines(), *_other_lines()]
    emit(result, lines, as_json)
    return int(any(report.problem for report in reports))


def _printable(report: BackendReport) -> BackendReport:
    """Return a report whose parts have no line breaks: those of its lines are its own."""
    return replace(
        report,
        name=escaped(report.name),
        aliases=tuple(map(escaped, report.aliases)),
        distribution=None if report.distribution is None else escaped(report.distribution),
        version=None if report.version is None else escaped(report.version),
        frameworks={escaped(name): escaped(version) for name, version in report.frameworks.items()},
        devices=tuple(map(escaped, report.devices)),
        problem=None if report.problem is None else escaped(" ".join(report.problem.split())),
    )


def _missing() -> dict[str, str]:
    """Return the backend distributions of ours that are not installed, by the names they would answer to."""
    installed = {alias for info in list_backends().values() for alias in info.aliases}
    return {name: distribution for name, distribution in known_backends().items() if name not in installed}


def _missing_lines() -> list[str]:
    missing = _missing()
    lines = []
    for distribution in sorted(set(missing.values())):
        names = ", ".join(name for name in sorted(missing) if missing[name] == distribution)
        lines.append(f"{names}: not installed; {install_advice(distribution)}")
    return lines


def _others() -> dict[str, dict[str, str]]:
    return {kind: provided(group) for kind, group in OTHERS.items()}


def _other_lines() -> list[str]:
    lines = []
    for kind, found in _others().items():
        dot = "." if kind == "formats" else ""
        lines += [f"{kind.removesuffix('s')} {dot}{name}: {owner}" for name, owner in found.items()]
    return lines
