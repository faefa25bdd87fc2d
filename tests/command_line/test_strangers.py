"""Plugins of strangers on the command line: commands, formats, backends and wrappers, installed from their wheels."""

import json
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest

from probly.data_generator import Distributions
from probly.data_generator.store import load, open_store, save
from probly_data_generator_command_line.group import OURS
from tests.command_line.plugins import COMMANDS

EVALUATION = ("calibrate", "evaluate", "rank", "sample")
ROWS = np.float32([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [0.125, 0.75, 0.125]])
NAMED = Distributions(ROWS, [4, 7, 9], [0, 2, 1], {"class_names": ["cat", "dog, big", '"ape"']})


@pytest.fixture
def shelf(shell, strangers):
    (shell.folder / "two.shelf").write_text("2.0")
    for features in (2, 3, 4, 5):
        np.savez(f"{features}.npz", inputs=np.random.default_rng(0).normal(size=(10, features)))
    return shell


def generate(features, options=""):
    return f"generate --model two.shelf --data {features}.npz --out a.fod {options}"


# Commands


def test_a_command_of_a_stranger_runs_like_ours(demo, strangers):
    printed = demo.run("entropy demo/teacher.fod --count 3").splitlines()
    store = open_store("demo/teacher.fod")
    rows = store.probabilities.astype(float)
    entropies = -(rows * np.log(rows)).sum(axis=1)
    order = np.argsort(-entropies, kind="stable")[:3]
    assert printed == [
        f"index {index}: {entropies[index]:.4f} nats, most likely {store.class_names[rows[index].argmax()]}"
        for index in order
    ]
    save("named.json", NAMED)
    assert demo.run("entropy named.json --count 1") == "index 4: 1.0397 nats, most likely cat\n"
    assert "No such file" in demo.fails("entropy nothing.json")
    assert "expected one of the suffixes .csv, .feather, " in demo.fails("entropy demo/model.py")
    assert "How many samples" in demo.run("entropy --help")


def test_the_list_has_the_commands_of_all_and_imports_none_of_them(strangers, tmp_path):
    code = (
        "import sys; from probly_data_generator_command_line import main; assert main(['--help']) == 0; "
        "print([name for name in sys.modules if name.startswith(('tiny_', 'first_order_', 'numpy')) "
        "or 'command_line.commands' in name], file=sys.stderr)"
    )
    environment = {"PYTHONPATH": str(strangers), "COLUMNS": "200"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    listed = done.stdout.partition("Commands:\n")[2].partition("\n\n")[0]
    line = r"^  (\S+(?:, \S+)*)(?:  +|\n    )(.*(?:\n {4,}.*)*)"  # long ones are wrapped
    found = re.findall(line, listed, re.MULTILINE)
    lines = {name: " ".join(line.split()).replace("- ", "-") for name, line in found}
    assert lines["entropy"] == "Print the samples that a model is least sure of. (first-order-entropy 0.1.0)"
    assert lines["missing"] == "(tiny-missing 1.0)"
    assert lines["twice"] == "Claimed by tiny-one and tiny-other; uninstall one of them."
    assert list(lines) == [*OURS, *sorted({", ".join(EVALUATION), "entropy", "twice", *COMMANDS})]
    assert {name: lines[name] for name in OURS} == OURS


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing", "ModuleNotFoundError: No module named 'module_of_nobody'; reinstall or uninstall tiny-missing"),
        ("exits", "SystemExit: 0; reinstall or uninstall tiny-exits"),
        ("function", "TypeError: expected a click command at tiny_function:command, got <function command"),
    ],
)
def test_a_broken_command_is_named_and_harms_nobody(shell, strangers, name, said):
    message = shell.fails(name)
    assert message.startswith(f"Error: command '{name}' (tiny-{name} 1.0) is installed but broken: ")
    assert said in message
    assert shell.fails(f"{name} --help") == message
    shell.run("demo --help")


def test_a_command_that_two_distributions_claim_is_refused_by_name(shell, strangers):
    assert shell.fails("twice") == (
        "Error: Ambiguous command 'twice': claimed by tiny-one 1.0 and tiny-other 1.0; uninstall one of them\n"
    )


def test_an_unknown_command_lists_those_of_all(shell, strangers):
    shell.run("nope", code=2)
    others = sorted({*EVALUATION, "entropy", "twice", *COMMANDS})
    assert f"there is no command 'nope'; there are {', '.join([*OURS, *others])}\n" in shell.err


def test_the_errors_of_a_strangers_command(shell, strangers):
    assert shell.fails("refusing") == "Error: refused by its author\n"
    message = shell.fails("buggy", code=3)
    assert message.startswith("Error: KeyError: key (raised in ")
    assert "tiny_buggy.py, line 6" in message


def test_completion_knows_all_commands_and_imports_none(strangers):
    code = (
        "import sys; from probly_data_generator_command_line import main\ntry:\n    main()\nfinally:\n    "
        "print([name for name in sys.modules if name.startswith('tiny_')], file=sys.stderr)"
    )

    def completed(words, count):
        environment = {"_FIRST_ORDER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": count}
        environment["PYTHONPATH"] = str(strangers)
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.split(), done.stderr

    assert completed("first-order e", "1") == (["plain,entropy", "plain,evaluate", "plain,exits"], "[]\n")
    assert "plain,--count" in completed("first-order entropy --", "2")[0]
    assert "Traceback" not in completed("first-order missing --", "2")[1]


# Formats


def test_a_format_of_a_stranger_is_one_of_all_formats(demo, strangers):
    assert "teacher.jsonl: 1,000 rows x 3 classes" in demo.run("convert demo/teacher.fod teacher.jsonl")
    assert demo.json("diff teacher.jsonl demo/teacher.fod")["identical"]
    found, store = load("teacher.jsonl")[0], open_store("demo/teacher.fod")
    assert found.labels.tolist() == store.labels.tolist()
    assert found.meta == store.meta
    assert (demo.folder / "teacher.jsonl").read_text().splitlines()[1].startswith('{"index": 0, "label": ')
    demo.run("convert teacher.jsonl back.fod --top-k 2")
    assert demo.json("verify teacher.jsonl")["ok"]
    assert "north, east, west" in demo.run("inspect teacher.jsonl")
    text = (demo.folder / "teacher.jsonl").read_text()
    (demo.folder / "teacher.jsonl").write_text(text[: text.rindex("\n", 0, -1) + 1])
    assert "expected 1000 rows, got 999" in demo.json("verify teacher.jsonl", code=1)["problems"][0]


def test_a_format_of_a_stranger_refuses_with_its_own_words(demo, strangers):
    (demo.folder / "a.picky").touch()
    assert demo.fails("inspect a.picky") == "Error: a.picky: picky reads nothing\n"
    assert demo.fails("convert demo/teacher.fod b.picky") == "Error: b.picky: picky writes nothing\n"


def test_a_run_writes_to_any_format_that_takes_rows_as_they_come(demo, strangers):
    line = "generate --backend numpy --model demo.model:build --data demo/test.npz --out rows.lines"
    result = demo.json(f"{line} --top-k 2 --batch-size 10")
    assert (result["rows"], result["classes"], result["encoding"], result["rows_before"]) == (1000, 3, None, 0)
    assert result["meta"]["encoding asked for"] == "top-2"
    assert result["bytes"] == (demo.folder / "rows.lines").stat().st_size
    assert demo.json("diff rows.lines demo/teacher.fod")["identical"]
    file = demo.folder / "rows.lines"
    whole = file.read_text()
    assert "rows.lines: 1,000 rows x 3 classes, " in demo.run(f"{line} --batch-size 10")
    assert demo.fails(f"{line} --fresh") == (
        "Error: --out rows.lines: --fresh replaces stores only, which end in .fod; remove it, or choose another --out\n"
    )
    assert file.read_text() == whole
    file.write_text("".join(whole.splitlines(keepends=True)[:137]))
    demo.run(f"{line} --top-k 2 --batch-size 10")
    assert file.read_text().splitlines()[:-1] == whole.splitlines()[:-1], "the last one has the time"
    file.unlink()
    demo.run(f"{line} --top-k 2 --batch-size 10 --fresh")
    assert file.read_text().splitlines()[:-1] == whole.splitlines()[:-1]


def test_a_stopped_run_says_nothing_of_the_rows_of_a_format_that_it_does_not_know(shell, strangers):
    (shell.folder / "own.py").write_text("def model(inputs):\n    raise KeyboardInterrupt\n")
    np.savez("data.npz", inputs=np.eye(3))
    line = "generate --backend numpy --model own:model --data data.npz --out"
    shell.run(f"{line} rows.lines", code=130)
    assert re.fullmatch(r"Stopped\. To continue, run the same command again: .* --out rows\.lines\n", shell.err)
    shell.run(f"{line} rows.fod", code=130)
    assert "Stopped. 0 rows are safe in rows.fod. To continue" in shell.err


# Backends and wrappers


def test_a_file_whose_suffix_a_stranger_claims_needs_no_backend(shelf):
    result = shelf.json(generate(3))
    assert result["meta"]["backend"] == "shelf"
    logits = 2.0 * np.load("3.npz")["inputs"]
    rows = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(open_store("a.fod").probabilities, rows, atol=1e-6)
    message = shelf.fails("generate --model 3.npz --data 3.npz --out b.fod")
    assert "no installed backend claims the suffix '.npz'" in message
    assert "'shelf'" in message
    assert message.endswith("; here, backend is --backend\n")


def test_what_a_strangers_hook_refuses_is_bad_input_with_its_own_words(shelf):
    assert shelf.fails(generate(3, "--device mars")) == ("Error: device 'mars' is not available; available: shelf:0\n")
    message = shelf.fails(generate(2))
    assert message.startswith("Error: expected three features, got two; choose others with --inputs-key; ")
    assert "raised in backend 'shelf', batch 0" in message
    message = shelf.fails(generate(4), code=3)
    assert message.startswith("Error: RuntimeError: a broken shelf; ")
    assert "checks.py, line " in message


def test_files_of_a_strangers_backend_run_code_only_on_the_users_word(shelf):
    (shelf.folder / "two.vault").write_bytes(pickle.dumps(2.0))
    line = "generate --model two.vault --data 3.npz --out a.fod"
    said = shelf.fails(line)
    assert said == (
        "Error: two.vault: a vault is a pickle, which runs any code, so it was not opened; if you trust whoever made "
        "the file, pass options={'trust': True}, or --trust-model on the command line\n"
    )
    result = shelf.json(f"{line} --trust-model")
    assert result["meta"]["backend"] == "vault"
    assert "trust" not in json.dumps(shelf.json("inspect a.fod --rows 0"))
    assert "it was complete already" in shelf.run(f"{line} --trust-model")
    said = shelf.fails(f"{line} --trust-model --option speed=1")
    assert "'speed'" in said


def test_trust_is_refused_where_no_file_runs_code(shelf):
    line = "generate --backend plain --model two.shelf --data 3.npz --out a.fod"
    assert "--trust-model on the command line) is for files that run code" in shelf.fails(f"{line} --trust-model")
    assert shelf.json(line)["rows"] == 10


def test_ours_and_theirs_refuse_a_device_alike(demo, strangers):
    line = "generate --backend numpy --model demo.model:build --data demo/test.npz --out a.fod --device mars"
    assert demo.fails(line).startswith("Error: ")
    assert "device 'mars' is not available" in demo.err
    assert "raised in /" not in demo.err


def test_a_wrapper_is_named_on_the_command_line(shelf):
    shelf.run(generate(3, "--batch-size 4 --wrapper counting --wrapper counting"))
    import counting

    assert counting.CALLS == [4, 4, 4, 4, 2, 2]
    assert "this wrapper counts no five features" in shelf.fails(generate(5, "--wrapper counting --fresh"))
    shelf.run(generate(5, "--fresh"))
    said = "Error: Unknown wrapper: countin (installed wrappers: counting); did you mean 'counting'?"
    assert shelf.fails(generate(3, "--wrapper countin")).startswith(said)


def test_backends_lists_what_is_there_and_who_provides_it(shell, strangers):
    found = shell.json("backends --names")
    assert found["installed"]["shelf"] == "shelf 1.0"
    assert found["wrappers"] == {"counting": "counting 1.0"}
    assert found["formats"]["jsonl"] == "first-order-jsonl 0.1.0"
    assert found["formats"]["json"].startswith("probly-data-generator ")
    assert found["commands"]["entropy"] == "first-order-entropy 0.1.0"
    assert found["commands"]["twice"] == "claimed by tiny-one 1.0 and tiny-other 1.0; uninstall one of them"
    assert OURS.keys() <= found["commands"].keys()
    lines = shell.run("backends --names").splitlines()
    for line in ("wrapper counting: counting 1.0", "format .jsonl: first-order-jsonl 0.1.0"):
        assert line in lines
    assert json.loads(json.dumps(found)) == found
