"""`first-order`: what each command prints and returns, on the model and the data of its demo."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from probly.data_generator import Distributions
from probly.data_generator.discovery.listing import known_backends, list_backends
from probly.data_generator.installing import install_advice
from probly.data_generator.store import FORMATS, load, open_store, save
from probly_data_generator_command_line.group import OURS
from tests.command_line.commands import without

GENERATE = "generate --backend numpy --model demo.model:build --data demo/test.npz"


def expected(folder, temperature=1.0):
    weights = np.load(folder / "demo/weights.npz")
    logits = (np.load(folder / "demo/test.npz")["inputs"] @ weights["weights"] + weights["bias"]) / temperature
    rows = np.exp(logits - logits.max(axis=1, keepdims=True))
    return rows / rows.sum(axis=1, keepdims=True)


def examples(text):
    """Return the command lines of a command's help."""
    block = re.search(r"Example:\n((?: +first-order .*\n)+)", text)
    return [line.strip() for line in block[1].splitlines()]


def fails_usage(shell, line):
    shell.run(line, code=2)
    return shell.err


def test_the_examples_in_the_help_of_all_commands_run_in_order(shell):
    ran = []
    for name in ["demo", *(name for name in OURS if name != "demo")]:
        lines = examples(shell.run(f"{name} --help"))
        assert lines[0].startswith(f"first-order {name}")
        for line in lines:
            shell.run(line.removeprefix("first-order "))
            ran.append(name)
    assert set(ran) == set(OURS)
    assert (shell.folder / "report.html").read_text(encoding="utf-8").lower().startswith("<!doctype html>")


def test_the_examples_of_the_group_run(shell):
    for line in examples(shell.run("--help")):
        shell.run(line.removeprefix("first-order "))


def test_no_help_shows_the_mark_that_keeps_its_lines(shell):
    for name in OURS:
        assert "\\b" not in shell.run(f"{name} --help")


def test_the_demo_knows_the_truth(demo):
    inputs = np.load("demo/test.npz")["inputs"]
    centres = np.array([[0.0, 1.2], [1.2, -0.6], [-1.2, -0.6]])
    densities = np.exp(-((inputs[:, None] - centres) ** 2).sum(axis=2) / 2)
    truth = load("demo/truth.npz")[0]
    np.testing.assert_allclose(truth.probabilities, densities / densities.sum(axis=1, keepdims=True), atol=1e-6)
    teacher = open_store("demo/teacher.fod")
    np.testing.assert_allclose(teacher.probabilities, expected(demo.folder), atol=1e-6)
    distance = np.abs(teacher.probabilities - truth.probabilities).sum(axis=1).mean() / 2
    assert 0.001 < distance < 0.05
    assert f"total variation of {distance:.4g}" in demo.out
    assert "exists, and was left as it is" in demo.fails("demo")


def test_generate_writes_the_rows_of_the_model(demo):
    result = demo.json(f"{GENERATE} --out teacher.fod")
    store = open_store("teacher.fod")
    np.testing.assert_allclose(store.probabilities, expected(demo.folder), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(store.labels, np.load("demo/test.npz")["labels"])
    assert (result["rows"], result["classes"], result["rows_before"]) == (1000, 3, 0)
    assert result["data"]["inputs"] == "'inputs', float64 [1000, 2]"
    assert result["meta"]["model_name"] == "demo.model:build"
    again = demo.run(f"{GENERATE} --out teacher.fod")
    assert "it was complete already" in again
    assert "inputs  'inputs', float64 [1000, 2]" in again


def test_an_ensemble_its_logits_and_an_axis_of_members(demo):
    demo.folder.joinpath("others.py").write_text(
        "import numpy as np\nfrom demo.model import build\n\n\nclass Half:\n    def __call__(self, inputs):\n"
        "        return build()(inputs) / 2\n\n\nclass Both:\n    def __call__(self, inputs):\n"
        "        return np.stack([build()(inputs), build()(inputs) / 2], axis=1)\n"
    )
    line = "generate --backend numpy --data demo/test.npz --output-mode logits"
    found = demo.json(f"{line} --model demo.model:build --model others:Half --keep logits --out ensemble.fod")
    assert found["meta"]["members"] == 2
    assert found["meta"]["model_name"] == "demo.model:build, others:Half"
    store = open_store("ensemble.fod")
    whole = np.stack([expected(demo.folder), expected(demo.folder, 2.0)], axis=1)
    np.testing.assert_allclose(store.members, whole, rtol=0, atol=1e-6)
    np.testing.assert_allclose(store.probabilities, whole.mean(axis=1), rtol=0, atol=1e-6)
    assert re.search(r"column logits +float32 \[1000, 2, 3\]", demo.run("inspect ensemble.fod"))
    demo.run(f"{line} --model others:Both --members --out axis.fod")
    np.testing.assert_array_equal(np.asarray(open_store("axis.fod").members), np.asarray(store.members))
    assert "--weights goes with one --model" in demo.fails(
        f"{line} --model demo.model:build --model others:Half --weights demo/test.npz --out x.fod"
    )
    assert "cannot activate stochastic layers" in demo.fails(f"{line} --model demo.model:build --passes 2 --out x.fod")
    assert "expected a list of 'logits'" in demo.fails(f"{line} --model demo.model:build --keep all --out x.fod")


def test_the_scores_of_labelled_rows_are_printed(demo):
    from probly.data_generator.metrics import report

    metrics = report(open_store(demo.folder / "demo/teacher.fod"))["metrics"]
    for line in (f"{GENERATE} --out scored.fod", "inspect demo/teacher.fod"):
        assert demo.json(line)["scores"]["accuracy"] == metrics["accuracy"]
        printed = demo.run(line)
        for name, value in [
            ("accuracy", f"{metrics['accuracy']:.4g} over 1,000 labelled rows"),
            ("calibration error", f"{metrics['expected_calibration_error']:.4g} expected, in 15 bins"),
            ("mean entropy", f"{metrics['mean_entropy']:.4g} nats"),
        ]:
            assert re.search(rf"{name} +{re.escape(value)}\n", printed), printed
        assert "guessing" not in printed


def test_a_model_whose_classes_have_another_order_than_the_labels_is_told(demo):
    demo.folder.joinpath("turned.py").write_text(
        "from demo.model import build\n\n\nclass Turned:\n    def __call__(self, inputs):\n"
        "        return build()(inputs)[:, [1, 2, 0]]\n"
    )
    line = "generate --backend numpy --model turned:Turned --data demo/test.npz --out turned.fod --quiet --json"
    demo.run(line)
    assert "Warning: the accuracy of 0.1" in demo.err
    assert "is what guessing gives among 3 classes" in demo.run("inspect turned.fod")


def test_the_temperature_divides_the_logits_and_is_part_of_the_identity(demo):
    result = demo.json(f"{GENERATE} --out soft.fod --temperature 4")
    np.testing.assert_allclose(open_store("soft.fod").probabilities, expected(demo.folder, 4.0), rtol=0, atol=1e-6)
    assert result["temperature"] == 4.0
    assert re.search(r"temperature +4\.0\n", demo.run(f"{GENERATE} --out soft.fod --temperature 4"))
    assert "Temperature(4.0)" in demo.run("inspect soft.fod")
    message = demo.fails(f"{GENERATE} --out soft.fod --temperature 2")
    assert "the store has 'Temperature(4.0)', this run has 'Temperature(2.0)'" in message
    assert "--temperature divides logits" in demo.fails(f"{GENERATE} --out x.fod --temperature 2 --output-mode probs")
    assert "above 0" in demo.fails(f"{GENERATE} --out x.fod --temperature 0")


def test_representations_names_and_options_reach_the_store(demo):
    demo.run(f"{GENERATE} --out top.fod --top-k 1 --class-names north,east,west --model-name mine --batch-size 7")
    store = open_store("top.fod")
    assert store.spec.encoding == "top-1"
    assert store.class_names == ["north", "east", "west"]
    assert store.meta["model_name"] == "mine"
    demo.folder.joinpath("names.txt").write_text("north\nfar east\nwest\n")
    demo.run(f"{GENERATE} --out half.fod --dtype float16 --class-names names.txt --quiet")
    assert (demo.out, demo.err) == ("", "")
    assert open_store("half.fod").class_names == ["north", "far east", "west"]
    assert open_store("half.fod").spec.encoding == "float16"
    assert "takes no options, got speed" in demo.fails(f"{GENERATE} --out o.fod --option speed=fast")
    assert "expected name=value" in fails_usage(demo, f"{GENERATE} --out o.fod --option speed")


def test_inspect_shows_what_is_there(demo):
    text = demo.run("inspect demo/teacher.fod --rows 2")
    for words in ("1,000 rows x 3 classes", "north, east, west", "sha256:", "complete"):
        assert words in text
    assert re.search("model name +demo\n", text)
    assert re.search("encoding +float32\n", text)
    assert len(text.split("index")[1].strip().splitlines()) == 3
    result = demo.json("inspect demo/teacher.fod --rows 1")
    (row,) = result["first_rows"]
    assert row["index"] == 0
    np.testing.assert_allclose(row["probabilities"], expected(demo.folder)[0], atol=1e-6)
    assert result["identity"]["model"]["digest"].startswith("sha256:")
    assert demo.json("inspect demo/truth.npz --rows 0")["first_rows"] == []
    far_apart = ["k", *"abc", "x" * 10**5]  # which NumPy's texts would take too much memory for
    Distributions(np.eye(5), labels=["cat", None, "dog", "é", ""], sample_keys=far_apart).save("texts.npz")
    rows = demo.json("inspect texts.npz --rows 5")["first_rows"]
    assert [(row["label"], row["key"]) for row in rows[:2]] == [("cat", "k"), (None, "a")]


@pytest.mark.parametrize("suffix", FORMATS)
def test_convert_and_diff_know_every_format(demo, suffix):
    assert f"copy{suffix}: 1,000 rows x 3 classes" in demo.run(f"convert demo/teacher.fod copy{suffix}")
    assert load(f"copy{suffix}")[0] == open_store("demo/teacher.fod")
    assert "the same" in demo.run(f"diff demo/teacher.fod copy{suffix}")
    demo.run(f"convert copy{suffix} back.fod")
    assert demo.json("diff back.fod demo/teacher.fod")["identical"]
    verified = demo.json(f"verify copy{suffix}")
    assert verified.pop("checked")
    assert verified == {"path": f"copy{suffix}", "ok": True, "rows": 1000, "problems": []}


def test_sample_keys_go_along_and_a_card_is_for_a_hub(demo):
    names = [f"p/{number}.png" for number in range(4)]
    rows = np.float32([[0.25, 0.75]] * 4)
    Distributions(rows, labels=[0, 1, 1, 0], meta={"class_names": ["cat", "dog"]}, sample_keys=names).save("a.fod")
    found = demo.json("convert a.fod hub/test.parquet --card")
    assert found["card"] == "hub/README.md"
    assert load("hub/test.parquet")[0].sample_keys.tolist() == names
    assert "0 cat, 1 dog" in (demo.folder / "hub/README.md").read_text(encoding="utf-8")
    assert demo.json("inspect hub/test.parquet --rows 1")["first_rows"][0]["key"] == "p/0.png"
    demo.run("convert hub/test.parquet back.fod")
    assert open_store("back.fod").sample_keys.tolist() == names
    (demo.folder / "hub/README.md").write_text("mine")
    assert "README.md: exists, and was left as it is" in demo.fails("convert a.fod hub/other.parquet --card")
    assert not (demo.folder / "hub/other.parquet").exists()
    demo.run("convert a.fod hub/other.parquet --card --overwrite")
    assert "other.parquet" in (demo.folder / "hub/README.md").read_text(encoding="utf-8")
    assert "a dataset card is for a file beside it that ends in .parquet or .csv" in demo.fails(
        "convert a.fod hub2/a.npz --card"
    )
    assert not (demo.folder / "hub2").exists()


def test_diff_reports_what_the_formulas_say(demo):
    found = demo.json("diff demo/teacher.fod demo/truth.npz", code=1)
    p, q = (load(f"demo/{name}")[0].probabilities.astype(float) for name in ("teacher.fod", "truth.npz"))
    assert found["difference"]["mean"] == pytest.approx(np.abs(p - q).mean(), rel=1e-6)
    assert found["kl_divergence"]["mean"] == pytest.approx((p * np.log(p / q)).sum(axis=1).mean(), abs=1e-6)
    text = demo.run("diff demo/teacher.fod demo/truth.npz", code=1)
    assert f"{100 * np.mean(p.argmax(1) == q.argmax(1)):.4g} %" in text
    largest = found["difference"]["largest"]
    demo.run(f"diff demo/teacher.fod demo/truth.npz --tolerance {largest}")
    demo.run(f"diff demo/teacher.fod demo/truth.npz --tolerance {largest / 2}", code=1)


def test_convert_replaces_only_when_told(demo):
    demo.run("convert demo/teacher.fod copy.fod")
    before = (demo.folder / "copy.fod/spec.json").read_bytes()
    assert "exists, and was left as it is" in demo.fails("convert demo/truth.npz copy.fod")
    assert (demo.folder / "copy.fod/spec.json").read_bytes() == before
    demo.run("convert demo/truth.npz copy.fod --overwrite --top-k 2")
    assert open_store("copy.fod").spec.encoding == "top-2"
    assert sorted(path.name for path in demo.folder.iterdir()) == ["copy.fod", "demo"]
    assert "is also the source" in demo.fails("convert copy.fod copy.fod --overwrite")


def test_the_report_has_both_stores_and_its_numbers(demo):
    numbers = demo.json("report demo/teacher.fod demo/truth.npz --out page.html --figures figures --title Demo")
    page = (demo.folder / "page.html").read_text(encoding="utf-8")
    assert "Demo" in page
    assert numbers == json.loads((demo.folder / "figures/report.json").read_text())
    assert list((demo.folder / "figures").glob("*.svg"))
    assert "which ends in .html" in demo.fails("report demo/teacher.fod --out page.pdf")


def test_backends_says_what_works_and_what_to_install(shell):
    found = shell.json("backends numpy")
    assert found["backends"][0]["name"] == "numpy"
    assert found["backends"][0]["works"] is True
    assert "numpy: works" in shell.run("backends numpy")
    assert "Unknown framework: nope" in shell.json("backends nope", code=1)["backends"][0]["problem"]
    assert "numpy: probly-data-generator " in shell.run("backends --names")


def test_backends_lists_each_name_as_installed_or_not(shell):
    found = shell.json("backends --names")
    installed = {alias for info in list_backends().values() for alias in info.aliases}
    assert installed.isdisjoint(found["not_installed"])
    assert installed | found["not_installed"].keys() == installed | known_backends().keys()
    done = without(shell.folder, set(known_backends().values()), "backends", "--names")
    assert f"flax, jax: not installed; {install_advice('probly-data-generator-jax')}\n" in done.stdout
    assert "evaluation" not in known_backends(), "an extra that is no backend"
    assert done.stdout.startswith("numpy: probly-data-generator ")


def test_what_is_parsed_is_checked(shell):
    shell.run("nope", code=2)
    assert "there is no command 'nope'; there are generate, inspect" in shell.err
    shell.run("inspect", code=2)
    assert "FILE" in shell.err
    shell.run("generate --model a:b --data c:d --out e.fod --batch-size 0", code=2)
    assert "--batch-size" in shell.err
    shell.run("generate --model a:b --data c:d --out e.fod --mean 1,x", code=2)
    assert "expected numbers separated by commas, got '1,x'" in shell.err
    shell.run("generate --model a:b --data c:d --out e.fod --class-names a,,b", code=2)
    assert "name 1 is empty" in shell.err


def test_completion_and_version_work_in_the_shell(tmp_path):
    environment = {"_FIRST_ORDER_COMPLETE": "bash_complete", "COMP_WORDS": "first-order con", "COMP_CWORD": "1"}
    code = "import sys; from probly_data_generator_command_line import main; sys.exit(main())"

    def printed(environment, *arguments):
        done = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert printed(environment).split() == ["plain,convert"]
    assert "complete -o nosort -F _first_order_completion" in printed(
        {"_FIRST_ORDER_COMPLETE": "bash_source", "PATH": "/usr/bin:/bin"}
    )
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", printed({}, "--version"))


def test_diff_sees_other_members(shell):
    rows = np.array([[[0.5, 0.5], [0.5, 0.5]], [[0.25, 0.75], [0.75, 0.25]]], np.float32)
    for name, members in [("a", rows), ("b", rows[:, :1].repeat(2, axis=1) * 0 + 0.5)]:
        save(f"{name}.npz", Distributions(np.full((2, 2), 0.5), columns={"members": members}))
    save("c.npz", Distributions(np.full((2, 2), 0.5)))
    text = shell.run("diff a.npz b.npz", code=1)
    assert re.search(r"different\n.*\n +column members +largest difference 0.25", text)
    shell.run("diff a.npz b.npz --tolerance 0.25")
    assert "column members  not compared: in one of them only" in shell.run("diff a.npz c.npz")
