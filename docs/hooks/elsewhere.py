"""Pages that lie elsewhere in the repository (READMEs, examples, results), and links to them.

In the repository, links lead to files; on the site, to the pages that these have become. What is a file of the
repository and no page is named without a link. A link to nothing is left as it is, and refused by the strict build.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
FENCES = re.compile(r"^(`{3,})[^\n]*\n.*?^\1`*$\n?", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[([^\[\]]*)\]\(([^)#:\s]+)((?:#[^)\s]*)?)\)")
LANGUAGES = {".py": "python", ".toml": "toml", ".md": "markdown"}


def sources():
    """Return the place on the site of each file or folder of the repository that is a page."""
    found = {"README.md": "index.md", "tests/guide/guide.rst": "guide.md"}
    found |= {path: f"packages/{path.split('/')[1]}.md" for path in _there("plugins/*/README.md")}
    found |= {path: f"examples/{Path(path).stem}.md" for path in _there("examples/*")}
    found |= {path: f"examples/{Path(path).name}.md" for path in _there("examples/wrappers/*")}
    found.pop("examples/wrappers")
    found |= {path: f"benchmarks/{Path(path).stem.lower()}.md" for path in _there("benchmarks/*.md")}
    names = ("CHANGELOG", "CONTRIBUTING", "SECURITY", "UPGRADING")
    found |= {path: f"project/{Path(path).stem.lower()}.md" for name in names for path in _there(f"{name}.md")}
    return found


def _there(pattern):
    paths = (path for path in sorted(ROOT.glob(pattern)) if path.name != "__pycache__")
    return [path.relative_to(ROOT).as_posix() for path in paths]


def on_files(files, config):
    """Add the pages, but those that have one of the same name in docs/."""
    for path, uri in sources().items():
        if files.get_file_from_path(uri) is None and uri != "guide.md":
            files.append(File.generated(config, uri, content=_text(ROOT / path)))
    return files


def _text(path):
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    if path.is_file():
        return f"# {path.name}\n\n{_block(path, path.name)}"
    readme = path / "README.md"
    parts = [readme.read_text(encoding="utf-8") if readme.exists() else f"# {path.name}\n\nIts files:\n"]
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        known = file.suffix in LANGUAGES and file != readme
        if known and not {"__pycache__", "build", "dist"} & set(inside.parts):
            parts.append(_block(file, inside.as_posix()))
    return "\n".join(parts)


def _block(file, title):
    return f'````{LANGUAGES[file.suffix]} title="{title}"\n{file.read_text(encoding="utf-8")}````\n'


def on_page_markdown(markdown, page, config, files):
    """Lead the links of a page to other pages."""
    uri = page.file.src_uri
    pages = sources()
    origin = {place: path for path, place in pages.items()}.get(uri)
    lies_in = f"docs/{uri}" if origin is None or (ROOT / "docs" / uri).exists() else origin
    folder = lies_in if (ROOT / lies_in).is_dir() else posixpath.dirname(lies_in)

    def led(match):
        path = posixpath.normpath(posixpath.join(folder, match[2]))
        place = path.removeprefix("docs/") if path.startswith("docs/") else pages.get(path.removesuffix("/"))
        if place is None:  # a file within a folder that is one page
            place = next((pages[above.as_posix()] for above in Path(path).parents if above.as_posix() in pages), None)
        if place is None:
            return match[1] if (ROOT / path).exists() else match[0]
        return f"[{match[1]}]({posixpath.relpath(place, posixpath.dirname(uri))}{match[3]})"

    parts, end = [], 0
    for fence in FENCES.finditer(markdown):
        parts += [LINK.sub(led, markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(led, markdown[end:])])
