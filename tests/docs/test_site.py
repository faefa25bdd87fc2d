"""The site builds strictly, has all public names and commands, loads nothing from elsewhere, is searched as files."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import click
import pytest
import yaml
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from probly.data_generator import Distributions, FirstOrderDataGenerator
from probly.data_generator.store import Store
from probly_data_generator_command_line.group import first_order
from tests.report.test_browser import program

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site; a broken link, a name without a docstring's page or a page in no menu is an error."""
    folder = tmp_path_factory.mktemp("built") / "site"
    done = build(ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stderr
    return folder


def build(configuration, folder):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", configuration, "-d", folder]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # a notice of the theme
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def hook(name):
    """Return a module of docs/hooks."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def documented(folder):
    """Return the names that the reference describes, out of the inventory that other sites link to them by."""
    header, body = (folder / "objects.inv").read_bytes().split(b"zlib.\n", 1)
    assert header.startswith(b"# Sphinx inventory version 2")
    return {line.split(" ")[0] for line in zlib.decompress(body).decode().splitlines()}


def public():
    """Yield each public name, as the set of names that it may be described under: its own, and those of its homes."""
    reference, core = hook("reference"), ROOT / "core" / "probly" / "data_generator"
    files = [*core.glob("*.py"), core / "testing" / "__init__.py", *ROOT.glob("plugins/*/probly_*/__init__.py")]
    modules = {".".join(part for part in path_of(file) if part != "__init__"): file for file in files}
    homes = {f"{name}.{key}": home for name, file in modules.items() for key, home in reference.homes(file).items()}
    for module, file in modules.items():
        for name in reference.public_names(file):
            names = [f"{module}.{name}"]
            while homes.get(names[-1], names[-1]) not in names:
                names.append(homes[names[-1]])
            yield set(names)
    for file in (core / "toolkit").glob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                yield {f"probly.data_generator.toolkit.{file.stem}.{node.name}"}


def path_of(file):
    """Return the parts of the import path of a file of the core or of a plugin."""
    inside = file.relative_to(ROOT).with_suffix("").parts
    return inside[1:] if inside[0] == "core" else inside[2:]


def test_every_public_name_is_in_the_reference(site):
    known, names = documented(site), [name for name in public() if name != {"probly_data_generator_command_line.main"}]
    assert len(names) > 150
    assert [sorted(name) for name in names if not name & known] == []
    assert "probly.data_generator.nothing" not in known


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("probly.data_generator.distributions.Distributions", Distributions),
        ("probly_data_generator_store.reader.Store", Store),
        ("probly.data_generator.generator.FirstOrderDataGenerator", FirstOrderDataGenerator),
    ],
)
def test_every_public_method_is_in_the_reference_inherited_ones_included(site, name, kind):
    known = documented(site)
    ours = [one for one in dir(kind) if not one.startswith("_") and getattr(kind, one).__doc__]
    assert len(ours) > 10
    assert [one for one in ours if f"{name}.{one}" not in known and not hasattr(Mapping, one)] == []


def test_every_command_and_option_is_on_the_page_of_commands(site):
    page = (site / "commands.html").read_text(encoding="utf-8")
    context = click.Context(first_order)
    names = first_order.list_commands(context)
    assert set(re.findall(r'<h2 id="([\w-]+)"', page)) == {"first-order", *names}
    for name in names:
        options = [
            option for option in first_order.get_command(context, name).params if isinstance(option, click.Option)
        ]
        assert all(option.opts[-1] in page for option in options if not option.hidden), name


def test_every_command_is_explained_on_a_page():
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    names = first_order.list_commands(click.Context(first_order))
    missing = [
        name
        for name in names
        if not re.search(rf"^\| `{name}\b|`first-order {name}\b|^first-order {name}\b", text, re.MULTILINE)
    ]
    assert missing == []


class Loads(HTMLParser):
    """Collects the addresses that a page loads, and not those that it links to."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        if tag in ("script", "img", "link", "iframe", "source", "object"):
            given = dict(attributes)
            self.found += [given[name] for name in ("src", "href", "data") if given.get(name)]


def test_nothing_is_loaded_from_another_host(site):
    loads = Loads()
    for page in site.rglob("*.html"):
        loads.feed(page.read_text(encoding="utf-8"))
    assert len(loads.found) > 200
    assert {address for address in loads.found if re.match(r"(https?:)?//", address)} == set()
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"url\(['\"]?(https?:)?//|@import", styles)


SEARCHED = {
    "tail mass": "glossary.html",
    "begun by another run": "faq.html",
    "two GPUs": "cluster.html",
    "write a backend": "writing_a_backend.html",
    "convert fod to parquet": "store.html",
}
"""What people look for, and the page that is shown first."""


def test_the_site_is_searched_without_a_server(site):
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1280,900")
    with webdriver.Chrome(options=options, service=Service(program("chromedriver"))) as browser:
        for words, page in SEARCHED.items():
            browser.get(f"{(site / 'index.html').as_uri()}?q={quote(words)}")
            shown = ".md-search-result__item a"
            WebDriverWait(browser, 20).until(lambda now: now.find_elements(By.CSS_SELECTOR, shown))  # noqa: B023
            links = [link.get_attribute("href") for link in browser.find_elements(By.CSS_SELECTOR, shown)]
            assert page in links[0], (words, links[:5])


def test_a_broken_link_stops_the_build(tmp_path):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.md").write_text("# Start\n\n[nowhere](nothing.md)\n")
    strict = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.SafeLoader)
    kept = {name: strict[name] for name in ("site_name", "strict", "validation")}
    (tmp_path / "mkdocs.yml").write_text(yaml.dump({**kept, "docs_dir": "pages"}))
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 1
    assert "nothing.md" in done.stderr


def test_the_notebooks_have_the_code_of_their_pages(site):
    notebooks = sorted(site.rglob("*.ipynb"))
    assert {path.stem for path in notebooks} >= {"first_data", "student", "ensembles", "human_votes", "million_images"}
    for path in notebooks:
        page = (ROOT / "docs" / "tutorials" / f"{path.stem}.md").read_text(encoding="utf-8")
        found = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
        codes = ["".join(cell["source"]) for cell in found["cells"] if cell["cell_type"] == "code"]
        assert codes
        assert all(code in page for code in codes)
        assert len(codes) == page.count("```python\n")
