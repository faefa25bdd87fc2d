"""What the documents of the evaluation show runs as it stands there, the blocks of one document as one session."""

import re
from pathlib import Path

import probly_data_generator_evaluation as evaluation

ROOT = Path(__file__).parents[2]


def session(document, tmp_path, monkeypatch):
    text = (ROOT / document).read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "example"}
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL)):
        exec(compile(block, f"{document}, block {number}", "exec"), names)
    return text, names


def test_the_session_of_the_documentation(tmp_path, monkeypatch):
    text, names = session("docs/evaluation.md", tmp_path, monkeypatch)
    assert len((tmp_path / "doubtful.csv").read_text().splitlines()) == 21
    assert names["votes"].sum(axis=1).tolist() == [50] * 897
    assert names["report"].after["unbiased_squared_distance"] < names["report"].before["unbiased_squared_distance"]
    assert len(names["whole"]) == 1797
    assert len(names["worst"]) == 5
    for name in evaluation.__all__:
        if name[0].islower() and name != "to_probly":
            assert f"{name}(" in text, name


def test_the_session_of_the_readme(tmp_path, monkeypatch, capsys):
    session("plugins/evaluation/README.md", tmp_path, monkeypatch)
    assert len(capsys.readouterr().out.splitlines()) >= 6
