"""Backends as strangers write them, by docs/writing_a_backend.md alone, installed as wheels and used by first-order."""

import re
from pathlib import Path

import numpy as np
import pytest

from probly.data_generator.store import open_store
from tests.testing.strangers import ROOT, STRANGERS, Environment

MODELS = {
    "shelf": "shelf_arrays.MLP(*reference.mlp_weights())",
    "abacus": "abacus.Network([reference.mlp_weights()[:2], reference.mlp_weights()[2:]])",
    "grove": "grove.Forest().fit(inputs, inputs[:, :3].argmax(axis=1))",
}
EXPECTED = {
    "shelf": "reference.softmax(reference.mlp_logits(reference.mlp_weights(), inputs))",
    "abacus": "reference.softmax(reference.mlp_logits(reference.mlp_weights(), inputs))",
    "grove": "model.predict_proba(inputs)",
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return Environment(tmp_path_factory.mktemp("strangers"))


@pytest.mark.parametrize("name", STRANGERS)
def test_it_passes_the_suite(name, environment):
    done = environment.suite(name)
    assert done.returncode == 0, done.stdout
    expected = r"=+ \d{2,} passed, 1 xfailed in .* =+" if name == "shelf" else r"=+ \d{2,} passed in .* =+"
    assert re.fullmatch(expected, done.stdout.splitlines()[-1]), done.stdout


@pytest.mark.parametrize(
    ("right", "wrong", "check"),
    [
        ("return model.function(inputs)", "return model.function(inputs)[::-1]", "rows_agree_with_the_reference"),
        ("shelf_arrays.Array(leaf, checked(shelf))", "leaf", "to_device_keeps_nests"),
        ("checked(device or source.shelf)", "checked(device)", "a_run_with_nothing_said_agrees_with_the_reference"),
    ],
)
def test_a_mistake_in_the_template_would_be_found(right, wrong, check, environment):
    """The control of the test above."""
    file = Path(environment.run("import shelf_backend; print(shelf_backend.__file__)").strip())
    source = file.read_text(encoding="utf-8")
    assert source.count(right) == 1
    try:
        file.write_text(source.replace(right, wrong), encoding="utf-8")
        done = environment.suite("shelf", "-q", "-x", "-k", check)
    finally:
        file.write_text(source, encoding="utf-8")
    assert done.returncode == 1, done.stdout
    assert f"FAILED test_conformance.py::TestShelf::test_{check}" in done.stdout


@pytest.fixture(params=STRANGERS)
def session(request, environment, tmp_path):
    """Return the name of a backend and a folder with a file of its own, data, and the rows that must come of them."""
    name = request.param
    library = STRANGERS[name][1]
    environment.run(
        f"import numpy as np, {library}\n"
        "from probly.data_generator.testing import reference\n"
        "inputs, labels = reference.samples(rows=200)\n"
        f"model = {MODELS[name]}\n"
        f"folder = {str(tmp_path)!r}\n"
        f"{library}.save(folder + '/net.{name}', model)\n"
        "np.savez(folder + '/test.npz', inputs=inputs, labels=labels)\n"
        f"np.save(folder + '/expected.npy', {EXPECTED[name]})\n"
    )
    return name, tmp_path


def test_first_order_runs_its_files_and_goes_on_after_a_kill(session, environment):
    name, folder = session
    command = ["generate", "--model", f"net.{name}", "--data", "test.npz", "--out", "rows.fod"]
    command += ["--batch-size", "8", "--shard-seconds", "0.000001"]
    plugged = [*command, "--wrapper", "plug"]
    # Rows may wait for the twentieth part of a second before they are safe.
    killed = environment.first_order(*plugged, cwd=folder, PLUG_AFTER="9", PLUG_SECONDS="0.06")
    assert killed.returncode == -9, killed.stderr
    assert killed.stdout.count("called") == 9
    done = environment.first_order(*plugged, cwd=folder, PLUG_AFTER="25", PLUG_SECONDS="0")
    assert done.returncode == 0, done.stderr
    safe = int(re.search(r"(\d+) of the rows were there already", done.stdout)[1])
    assert 40 <= safe <= 72
    called = done.stdout.count("called")
    assert called == 1 + (200 - safe) // 8, "what was safe is not computed again, but for a batch to compare with"
    store = open_store(folder / "rows.fod")
    store.verify()
    assert store.meta["backend"] == name
    np.testing.assert_allclose(store.probabilities, np.load(folder / "expected.npy"), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(store.labels, np.load(folder / "test.npz")["labels"])
    whole = environment.first_order(*command[:-6], "--batch-size", "8", "--out", "whole.fod", cwd=folder)
    assert whole.returncode == 0, whole.stderr
    np.testing.assert_array_equal(open_store(folder / "whole.fod").probabilities, store.probabilities)


def test_its_mistakes_are_told_as_ours_are(session, environment):
    """A documented ValueError of a stranger's hook: the text as it is, and the exit status of bad input."""
    name, folder = session
    command = ["generate", "--model", f"net.{name}", "--data", "test.npz", "--out", "rows.fod", "--device", "gpu:7"]
    theirs = environment.first_order(*command, cwd=folder)
    (folder / "mine.py").write_text("def build():\n    return lambda batch: batch\n")
    command[2:3] = ["mine:build", "--backend", "numpy"]
    ours = environment.first_order(*command, cwd=folder)
    assert theirs.returncode == ours.returncode != 0
    assert "device 'gpu:7' is not available; available: " in theirs.stderr
    assert "Traceback" not in theirs.stderr


def test_users_find_them_as_the_document_says(environment):
    text = (ROOT / "docs" / "writing_a_backend.md").read_text(encoding="utf-8")
    printed = environment.run(
        "import numpy as np, shelf_arrays, sys\n"
        "from probly.data_generator import FirstOrderDataGenerator, check_backend, list_backends\n"
        "from probly.data_generator.testing import reference\n"
        "assert set(list_backends()) == {'numpy', 'shelf', 'abacus', 'grove'}\n"
        "assert list_backends()['shelf'].distribution == 'shelf-backend'\n"
        "model = shelf_arrays.MLP(*reference.mlp_weights()).on('lower')\n"
        "inputs = np.ones((3, 5), np.float32)\n"
        "assert FirstOrderDataGenerator(model).generate_distributions(inputs).meta['device'] == 'lower'\n"
        "moved = FirstOrderDataGenerator(model, device='upper')\n"
        "assert moved.generate_distributions(inputs).meta['device'] == 'upper'\n"
        "assert model.shelf == 'lower'\n"
        "assert all(check_backend(name).problem is None for name in ('abacus', 'grove'))\n"
        "print(check_backend('shelf'))\n"
    )
    assert f'>>> print(check_backend("shelf"))\n{printed}```' in text
