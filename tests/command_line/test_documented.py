"""docs/command_line.md and the help: every option of every command is in both, and none that there is not."""

import re
from pathlib import Path

import click
import pytest

from probly_data_generator_command_line.commands.generate_options import SECTIONS
from probly_data_generator_command_line.group import OURS, first_order

DOCS = (Path(__file__).parents[2] / "docs/command_line.md").read_text(encoding="utf-8")
NAME = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def options_of(name):
    command = first_order.get_command(click.Context(first_order), name)
    options = [option for option in command.params if isinstance(option, click.Option)]
    return {name for option in options for name in (*option.opts, *option.secondary_opts) if name.startswith("--")}


@pytest.mark.parametrize("name", OURS)
def test_every_option_is_in_the_docs(name):
    found = options_of(name)
    assert {"--debug"} <= found
    assert found <= set(NAME.findall(DOCS))


def test_every_option_in_the_docs_is_one():
    of_pages = re.sub(r"```(toml|python).*?```|`pip install [^`]*`", "", DOCS, flags=re.DOTALL)
    known = set().union(*map(options_of, OURS)) | {"--help"}
    assert set(NAME.findall(of_pages)) <= known


@pytest.mark.parametrize("name", OURS)
def test_every_option_says_what_it_does(name):
    command = first_order.get_command(click.Context(first_order), name)
    silent = [option.name for option in command.params if isinstance(option, click.Option) and not option.help]
    assert silent == []


def test_the_help_of_generate_has_its_options_under_headings(shell):
    text = shell.run("generate --help")
    titles = [title for title, _ in SECTIONS]
    places = [text.index(f"\n{title}:\n") for title in [*titles, "Other options"]]
    assert places == sorted(places)
    parts = [text[start:end] for start, end in zip(places, [*places[1:], len(text)], strict=True)]
    for part, words in zip(parts, ("--model TEXT", "--data TEXT", "--out PATH", "--share I/N", "--help"), strict=True):
        assert words in part
    assert options_of("generate") <= set(NAME.findall("".join(parts)))
