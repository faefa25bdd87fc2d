"""Pages of the reference that follow from the tree: those of plugins with public names, and the toolkit's."""

import ast
import tomllib
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]


def packages():
    """Return the public names of each import package of plugins/, with their homes, without importing it."""
    found = {}
    for file in sorted(ROOT.glob("plugins/*/probly_data_generator_*/__init__.py")):
        names = public_names(file)
        if names and names != ["main"]:
            found[file.parent.name] = [homes(file).get(name, f"{file.parent.name}.{name}") for name in names]
    return found


def homes(file):
    """Return where the names come from that a file imports: a function may be called as its module is."""
    imports = (
        node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)
    )
    return {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in imports for alias in node.names}


def public_names(file):
    """Return what stands in the ``__all__`` of a file."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", None) == "__all__" for target in node.targets):
            return ast.literal_eval(node.value)
    return []


def on_config(config):
    """Let the docstrings of the plugins be found, too."""
    python = config.plugins["mkdocstrings"].config["handlers"]["python"]
    python["paths"] += sorted(
        path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("plugins/*/pyproject.toml")
    )
    return config


def on_files(files, config):
    """Add the pages."""
    files.append(File.generated(config, "reference/toolkit.md", content=toolkit()))
    files.append(File.generated(config, "reference/promised.md", content=promised()))
    for package, names in packages().items():
        uri = f"reference/{package.removeprefix('probly_data_generator_')}.md"
        if files.get_file_from_path(uri) is None:
            overview = f"::: {package}\n    options:\n      show_root_heading: false\n      members: false\n"
            short = package.removeprefix("probly_data_generator_")
            is_promised = (ROOT / "core/probly/data_generator" / f"{short}.py").exists()
            path = f"probly.data_generator.{short}" if is_promised else package
            parts = [
                f"# The {short.replace('_', ' ')}\n\nImport from `{path}`.\n",
                overview,
                *(f"::: {name}\n" for name in names),
            ]
            files.append(File.generated(config, uri, content="\n".join(parts)))
    return files


PROMISED = """# The import paths

The modules of `probly.data_generator` that are made to be imported from. Those of [the multi-framework
guide](../guide.md) are kept as they are there.
"""


def promised():
    """Return the page of the modules of the core that have public names; those of a plugin with a page are there."""
    parts = [PROMISED]
    for file in sorted((ROOT / "core/probly/data_generator").glob("[a-z]*.py")):
        names, found = public_names(file), homes(file)
        if names:
            parts.append(f"## probly.data_generator.{file.stem}\n")
        for name in names:
            home = found.get(name, f"probly.data_generator.{file.stem}.{name}")
            package = home.partition(".")[0]
            if package in packages():
                short = package.removeprefix("probly_data_generator_")
                parts.append(f"- `{name}`: [the {short.replace('_', ' ')}]({short}.md)\n")
            else:
                parts.append(f"::: {home}\n    options:\n      heading_level: 3\n")
    return "\n".join(parts)


def toolkit():
    """Return the page of what an author of a backend imports."""
    modules = sorted(path.stem for path in (ROOT / "core/probly/data_generator/toolkit").glob("[a-z]*.py"))
    parts = [
        f"::: probly.data_generator.toolkit.{name}\n    options:\n      show_root_full_path: true\n" for name in modules
    ]
    return "\n".join(["# The toolkit\n\nWhat an author of a backend imports. Nobody else needs it.\n", *parts])


def on_page_markdown(markdown, page, config, files):
    """Add the table of all distributions to the first page of the reference."""
    if page.file.src_uri != "reference/index.md":
        return markdown
    rows = ["", "| distribution | |", "|---|---|", f"| probly-data-generator | {_summary(ROOT)} |"]
    for path in sorted(ROOT.glob("plugins/*/README.md")):
        folder = path.parent
        rows.append(f"| [probly-data-generator-{_name(folder)}](../packages/{folder.name}.md) | {_summary(folder)} |")
    return markdown + "\n".join(rows) + "\n"


def _project(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _name(folder):
    return _project(folder)["name"].removeprefix("probly-data-generator-")


def _summary(folder):
    return _project(folder)["description"]
