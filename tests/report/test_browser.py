"""The page in a real browser: Debian's Chromium, without a screen and without a network."""

import base64
import contextlib
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from probly.data_generator import Distributions
from probly.data_generator.report import write_report
from tests.report.report_reference import sample_distributions, sample_rows

SECONDS = 120
PHONE, DESKTOP = 390, 1180


def program(name):
    path = shutil.which(name)
    if path is None:
        pytest.fail(
            f"the page is tested in a real browser, and {name} is missing: apt-get install chromium chromium-driver"
        )
    return path


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(
        options=options, service=Service(program("chromedriver"))
    )  # a path: nothing is downloaded
    driver.command_executor.client_config.timeout = SECONDS
    driver.set_page_load_timeout(SECONDS)
    driver.set_script_timeout(SECONDS)
    try:
        yield driver
    finally:
        with contextlib.suppress(Exception):
            driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Write one page of each kind, and return their paths and numbers by name."""
    folder = tmp_path_factory.mktemp("pages")
    rows, labels = sample_rows(0, 300, 10)
    images = np.random.default_rng(0).random((300, 8, 8))
    names = {"class_names": [f"a rather long name of the class number {number}" for number in range(200)]}
    many, many_labels = sample_rows(1, 800, 200, sharpness=0.02)
    made = {
        "digits": ((Distributions(rows, labels=labels, meta={"model_name": "m" * 200}),), {"inputs": images}),
        "two": ((sample_distributions(2, 80, 4, model_name="one"), sample_distributions(3, 90, 4)), {}),
        "three": ((sample_distributions(4, 1500, 3),), {}),
        "many": ((Distributions(many, labels=many_labels, meta=names),), {}),
        "nothing": ((Distributions(np.zeros((0, 3))),), {}),
    }
    return {
        name: (folder / f"{name}.html", write_report(folder / f"{name}.html", *sets, **options))
        for name, (sets, options) in made.items()
    }


NAMES = ["digits", "two", "three", "many", "nothing"]


def show(browser, path, width=DESKTOP, scheme="light"):
    """Open a page at a width in a colour scheme, and return the messages of the browser while it did."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get("about:blank")
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(path.as_uri())
    complete = "return document.readyState === 'complete'"
    WebDriverWait(browser, 30).until(lambda page: page.execute_script(complete))  # get() may return before, if rarely
    return browser.get_log("browser"), [
        json.loads(entry["message"])["message"] for entry in browser.get_log("performance")
    ]


def screenshot(browser, width):
    height = browser.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, 4000), "scale": 1}
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("L"))


def requests(messages):
    """Return the addresses that the browser asked for, of the page itself and of everything else."""
    sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    return [event["request"]["url"] for event in sent if not event["request"]["url"].startswith("data:")]


@pytest.mark.parametrize("name", NAMES)
def test_the_browser_has_nothing_to_complain_about_and_asks_for_nothing_else(browser, pages, name):
    path, _ = pages[name]
    errors, messages = show(browser, path)
    assert errors == []
    assert requests(messages) == [path.as_uri()]


def test_a_request_and_an_error_would_be_noticed(browser, tmp_path):
    """The control of the test above."""
    page = tmp_path / "bad.html"
    page.write_text('<img src="absent.png"><script>console.error("x"); undefined.x</script>')
    errors, messages = show(browser, page)
    assert len(errors) >= 2
    assert (tmp_path / "absent.png").as_uri() in requests(messages)


def test_the_page_forbids_itself_what_a_mistake_in_it_would_do(browser, pages, tmp_path):
    bad = tmp_path / "bad.html"
    text = pages["digits"][0].read_text(encoding="utf-8")
    bad.write_text(
        text.replace("<main>", '<main><img src="absent.png"><script>document.title = "hacked"</script>'),
        encoding="utf-8",
    )
    errors, messages = show(browser, bad)
    assert browser.title != "hacked"
    assert any("Content Security Policy" in error["message"] for error in errors)
    assert not [
        message for message in messages if message["method"] == "Network.responseReceived" and "absent" in str(message)
    ]


FIGURES = {
    "digits": {"entropy", "confidence", "reliability", "mean_distribution", "confusion", "class_balance"},
    "two": {"entropy", "confidence", "reliability", "mean_distribution", "confusion", "class_balance"},
    "three": {"entropy", "confidence", "reliability", "mean_distribution", "confusion", "class_balance", "simplex"},
    "many": {"entropy", "confidence", "reliability", "mean_distribution", "confusion", "class_balance"},
    "nothing": set(),
}
BOXES = """
return [...document.querySelectorAll('figure')].map(figure => {
    const svg = figure.querySelector('svg'), box = svg.getBoundingClientRect();
    const parts = [...svg.querySelectorAll('path, use, image, text')];
    const drawn = parts.filter(part => part.getBoundingClientRect().height > 0);
    return [figure.id, box.width, box.height, drawn.length, svg.querySelector('title').textContent];
})"""


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_there_and_has_a_size(browser, pages, name, width):
    show(browser, pages[name][0], width)
    boxes = browser.execute_script(BOXES)
    assert {box[0] for box in boxes} == FIGURES[name]
    for figure, wide, high, drawn, title in boxes:
        assert min(wide, high) > 100, figure
        assert drawn > 10, figure
        assert title


def test_every_picture_of_a_sample_is_shown(browser, pages):
    show(browser, pages["digits"][0])
    sizes = browser.execute_script(
        "return [...document.images].map(image => [image.naturalWidth, image.getBoundingClientRect().width])"
    )
    assert len(sizes) == 24
    assert all(natural == 8 and shown > 50 for natural, shown in sizes)


WIDE = """
return [...document.querySelectorAll('body *')].filter(node => !node.closest('.scroll') && !node.closest('svg')
    && node.getBoundingClientRect().right > innerWidth + 1).map(node => node.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("width", [320, PHONE, 768, DESKTOP])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_wider_than_the_window(browser, pages, name, width):
    show(browser, pages[name][0], width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script(WIDE) == []


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_light_and_dark_are_two_pages_that_can_be_read(browser, pages, width):
    shots = {}
    for scheme in ("light", "dark"):
        show(browser, pages["digits"][0], width, scheme)
        shots[scheme] = screenshot(browser, width)
        colours = browser.execute_script(
            "const ink = getComputedStyle(document.querySelector('#entropy svg text')).fill;"
            "const paper = getComputedStyle(document.querySelector('#entropy')).backgroundColor;"
            "return [ink, paper].map(colour => colour.match(/[0-9]+/g).map(Number))"
        )
        ink, paper = (luminance(colour[:3]) for colour in colours)
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) > 7, "contrast of the text in figures (WCAG AAA)"
    assert np.median(shots["light"]) > 200
    assert np.median(shots["dark"]) < 60
    assert shots["light"].std() > 20
    assert shots["dark"].std() > 20


def luminance(colour):
    """Return the relative luminance of an sRGB colour; https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    parts = [part / 255 for part in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_it_prints_dark_on_white_whatever_the_screen(browser, pages):
    show(browser, pages["digits"][0], DESKTOP, "dark")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": [
        {"name": "prefers-color-scheme", "value": "dark"}
    ]})  # fmt: skip
    paper, ink = browser.execute_script(
        "return [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert (paper, ink) == ("rgb(255, 255, 255)", "rgb(0, 0, 0)")
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert pdf.startswith(b"%PDF")


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_in_the_page_are_those_that_were_returned(browser, pages, name):
    path, numbers = pages[name]
    show(browser, path)
    found = browser.execute_script("return document.getElementById('numbers').textContent")
    assert json.loads(found) == json.loads(json.dumps(numbers))
    ids = browser.execute_script("return [...document.querySelectorAll('[id]')].map(node => node.id)")
    assert len(ids) == len(set(ids))
