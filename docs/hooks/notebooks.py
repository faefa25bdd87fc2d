"""Notebooks of the tutorials: their code, and what tests/docs/test_pages.py has seen it print."""

import json
import posixpath
import re

from mkdocs.structure.files import File

CODE = re.compile(r"^```python\n(.*?)^```$\n(?:\n```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"^!\[[^\]]*\]\([^)]*\)\n\n", re.MULTILINE)
TO_PAGES = re.compile(r"\[([^\]]*)\]\((?!https?:)[^)]*\)")
"""Links and pictures that lead nowhere from a file that was downloaded."""
FOLDER = "tutorials/"


def on_files(files, config):
    """Add a notebook beside each tutorial."""
    for file in list(files.documentation_pages()):
        if file.src_uri.startswith(FOLDER) and CODE.search(file.content_string):
            text = json.dumps(notebook(file.content_string), indent=1, ensure_ascii=False)
            files.append(File.generated(config, _beside(file.src_uri), content=text + "\n"))
    return files


def on_page_markdown(markdown, page, config, files):
    """Say below the title of a tutorial where its notebook is."""
    uri = _beside(page.file.src_uri)
    if files.get_file_from_path(uri) is None:
        return markdown
    link = f"[Download as a notebook]({posixpath.basename(uri)}){{ download }}"
    return re.sub(r"^(# .*)$", rf"\1\n\n{link}", markdown, count=1, flags=re.MULTILINE)


def _beside(uri):
    return uri.removesuffix(".md") + ".ipynb"


def notebook(text):
    """Return a page as a notebook, format 4.5."""
    cells, end = [], 0
    for match in CODE.finditer(text):
        _add(cells, "markdown", text[end : match.start()])
        _add(cells, "code", match[1], match[2])
        end = match.end()
    _add(cells, "markdown", text[end:])
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _add(cells, kind, source, printed=None):
    if kind == "markdown":
        source = TO_PAGES.sub(r"\1", PICTURE.sub("", source))
    if not source.strip():
        return
    cell = {"id": f"cell-{len(cells)}", "cell_type": kind, "metadata": {}, "source": source.strip()}
    if kind == "code":
        output = {"output_type": "stream", "name": "stdout", "text": printed}
        cell |= {"execution_count": len(cells), "outputs": [output] if printed else []}
    cells.append(cell)
