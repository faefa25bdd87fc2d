"""The navigation, where ``folder/*`` stands for all pages of a folder without a place of their own, and the search.

So a page that arrives, or a new plugin, is in the navigation at once and breaks nothing. It runs after the hooks that
add pages.
"""

import posixpath

ANSWERS = ("faq.md", "glossary.md", "cluster.md", "store.md", "coming_from.md", "writing_a_backend.md", "tutorials/")
"""What a search shows first."""
DETAILS = ("guide.md", "reference/toolkit.md", "reference/promised.md", "examples/", "project/changelog.md")
"""What it shows last."""


def on_files(files, config):
    """Put the pages in place of the stars."""
    named = set(_paths(config.nav))
    pages = [file.src_uri for file in files.documentation_pages()]
    config.nav = _filled(config.nav, [page for page in pages if page not in named])
    return files


def on_page_markdown(markdown, page, config, files):
    """Say how much what is found on a page counts."""
    boost = {ANSWERS: 3, DETAILS: 0.5}
    for group, factor in boost.items():
        if page.file.src_uri.startswith(group):
            page.meta["search"] = {"boost": factor}
    return markdown


def _paths(nav):
    for entry in nav:
        if isinstance(entry, dict):
            for value in entry.values():
                yield from [value] if isinstance(value, str) else _paths(value)
        else:
            yield entry


def _filled(nav, pages):
    filled = []
    for entry in nav:
        if isinstance(entry, dict):
            filled.append(
                {title: _filled(value, pages) if isinstance(value, list) else value for title, value in entry.items()}
            )
        elif entry.endswith("*"):
            folder = entry.removesuffix("*").removesuffix("/")
            filled += sorted(page for page in pages if posixpath.dirname(page) == folder)
        else:
            filled.append(entry)
    return filled
