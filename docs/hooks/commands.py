"""The page ``commands.md``: the help of every command, as the command line prints it."""

import click
from mkdocs.structure.files import File

INTRODUCTION = """# All commands and options

What `first-order COMMAND --help` prints, of each command of the distributions that are installed where this site was
built. How they go together: [the command line](command_line.md), and of `evaluate`, `rank`, `sample` and `calibrate`
[the evaluation](evaluation.md#on-the-command-line).
"""


def on_files(files, config):
    """Add the page."""
    files.append(File.generated(config, "commands.md", content=page()))
    return files


def page():
    """Return the page."""
    from probly_data_generator_command_line.group import first_order

    above = click.Context(first_order, info_name="first-order", max_content_width=100, terminal_width=100)
    parts = [INTRODUCTION, f"## first-order\n\n```text\n{first_order.get_help(above)}\n```\n"]
    for name in first_order.list_commands(above):
        command = first_order.get_command(above, name)
        context = click.Context(command, info_name=name, parent=above, max_content_width=100, terminal_width=100)
        parts.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)
