"""What comes from files of strangers cannot command a terminal."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import probly_data_generator_command_line
from probly.data_generator import Distributions, FirstOrderDataGenerator
from probly.data_generator.store import save
from probly_data_generator_command_line import main
from probly_data_generator_command_line.printing import escaped
from tests.command_line.commands import finished

# Clear the screen, set the title, a control of one byte, turn the direction, a new line that says that all is well.
EVIL = "cat\x1b[2J\x1b]0;title\x07\x9b31m\u202egod\u2028\x7f\r\nall rows are right"
SHOWN = r"cat\u001b[2J\u001b]0;title\u0007\u009b31m\u202egod\u2028\u007f\u000d\u000aall rows are right"
FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text):
    return FORBIDDEN.search(text) is None and "\nall rows are right" not in text


def hostile(path):
    rows = np.full((3, 2), 0.5, np.float32)
    meta = {
        "class_names": [EVIL, "dog"],
        "model_name": EVIL,
        EVIL: EVIL,
        "backend": EVIL,
        "nested": {EVIL: [EVIL]},
        "versions": {EVIL: EVIL},
    }
    save(path, Distributions(rows, None, [EVIL, "dog", "dog"], meta))
    return path


@pytest.mark.parametrize("suffix", [".json", ".npz", ".fod"])
@pytest.mark.parametrize("command", ["inspect", "verify", "diff"])
def test_nothing_of_a_file_reaches_the_terminal_raw(shell, suffix, command):
    path = hostile(Path("rows" + suffix)).name
    words = {"diff": f"diff {path} {path}", "report": f"report {path} --out page.html"}.get(
        command, f"{command} {path}"
    )
    shell.run(words)
    assert clean(shell.out + shell.err)
    found = shell.json(words)
    assert clean(shell.out + shell.err)
    if command == "inspect":
        assert found["class_names"] == [EVIL, "dog"], "scripts get what is in the file"
        assert found["meta"][EVIL] == EVIL
        assert SHOWN in shell.run(words)


def test_columns_stay_under_each_other(shell):
    hostile(Path("rows.json"))
    shell.run("inspect rows.json")
    title, *rows = shell.out.splitlines()[-4:]
    starts = {line.index(SHOWN, line.index(SHOWN) + 1) if line.count(SHOWN) > 1 else None for line in rows} - {None}
    assert starts == {title.index("largest")}


def test_keys_and_paths_are_escaped(shell):
    folder = Path("a\x1b[31mb")
    folder.mkdir()
    keyed = folder / "rows.fod"
    generator = FirstOrderDataGenerator(lambda batch: batch, output_mode="logits", backend="numpy")
    generator.generate_distributions(-np.eye(2), out=keyed, keys=[EVIL, "b"], progress=False)
    shell.capsys.readouterr()
    for words in (["inspect", str(keyed)], ["verify", str(keyed)], ["inspect", str(folder / "none.json")]):
        main(words)
        out, err = shell.capsys.readouterr()
        assert clean(out + err)
        assert r"a\u001b[31mb" in out + err


@pytest.mark.parametrize("debug", ["", " --debug"])
def test_errors_and_warnings_are_escaped(shell, debug):
    Path("own.py").write_text(
        f"import warnings\nEVIL = {EVIL!r}\ndef model(x):\n    warnings.warn(EVIL)\n    raise RuntimeError(EVIL)\n"
    )
    np.savez("data.npz", inputs=np.eye(2))
    shell.run(f"generate --backend numpy --model own:model --data data.npz --out a.fod{debug}", code=3)
    assert clean(shell.err) if not debug else FORBIDDEN.search(shell.err) is None, "a traceback has lines of its own"
    assert r"\u001b[2J" in shell.err
    assert "Warning: " in shell.err


def test_what_libraries_log_is_escaped(shell):
    lines = ["import logging", f"EVIL = {EVIL!r}", "def model(x):", "    logging.getLogger('a library').warning(EVIL)"]
    Path("own.py").write_text("\n".join([*lines, "    return x", ""]))
    np.savez("data.npz", inputs=np.eye(2))
    words = ["--backend", "numpy", "--model", "own:model", "--data", "data.npz", "--out", "a.fod"]
    said = finished(shell.folder, "generate", *words).stderr  # here pytest has handlers of its own
    assert clean(said)
    assert said.startswith(r"Warning: cat\u001b[2J\u001b]0;title")
    assert said.endswith(" (a library)\n")
    assert said.count("\n") == 1


def test_what_click_says_is_escaped(shell):
    for words in (["inspect", "--rows", EVIL, "x.json"], [EVIL], ["inspect", f"--{EVIL}"]):
        assert main(words) == 2
        out, err = shell.capsys.readouterr()
        assert clean(out + err)
        assert "Error: " in err


def test_json_stays_json():
    text = json.dumps({"name": EVIL, "half": "\ud800"}, ensure_ascii=False)
    assert json.loads(escaped(text)) == {"name": EVIL, "half": "\ud800"}
    assert escaped("naïve 猫 👩\u200d🔬 שלום") == "naïve 猫 👩\u200d🔬 שלום", "letters of all languages stay"


def test_everything_is_printed_in_one_place():
    folder = Path(probly_data_generator_command_line.__file__).parent
    printing = {
        path.name
        for path in folder.rglob("*.py")
        if re.search(r"\bs?echo\(|(?<!file)\.write\(|\bprint\(", path.read_text())
    }
    assert printing == {"printing.py", "__init__.py"}, "__init__.py says that click is missing"
