"""Wrong usage of `first-order`: each mistake says what to do, and nothing that was there is lost."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from probly.data_generator.store import open_store
from probly_data_generator_store.lock import Lock
from tests.command_line.commands import command, contents, finished

BACKEND = "generate --backend numpy"
GENERATE = f"{BACKEND} --model demo.model:build --data demo/test.npz"


def test_a_store_of_another_run_is_refused_by_name_and_kept(demo):
    demo.run(f"{GENERATE} --out teacher.fod")
    before = contents(demo.folder / "teacher.fod")
    np.savez("other.npz", inputs=np.ones((5, 2)))
    message = demo.fails(f"{BACKEND} --model demo.model:build --data other.npz --out teacher.fod")
    assert "was begun by another run; dataset content" in message
    assert "--fresh replaces it" in message
    assert contents(demo.folder / "teacher.fod") == before


def test_fresh_replaces_a_store_only_by_a_complete_one(demo):
    demo.run(f"{GENERATE} --out teacher.fod")
    before = contents(demo.folder / "teacher.fod")
    fails = f"{BACKEND} --model demo.model:build --data demo/test.npz --inputs-key labels --out teacher.fod --fresh"
    demo.run(fails, code=3)
    assert contents(demo.folder / "teacher.fod") == before
    demo.run(f"{GENERATE} --out teacher.fod --temperature 2 --fresh --quiet")
    assert open_store("teacher.fod").spec.identity["output_transform"]["name"] == "Temperature(2.0)"
    assert sorted(path.name for path in demo.folder.iterdir()) == ["demo", "teacher.fod"]
    demo.run(f"{GENERATE} --out new.fod --fresh")
    assert len(open_store("new.fod")) == 1000


def test_fresh_never_replaces_what_is_no_store(demo):
    folder = demo.folder / "mine.fod"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    assert "cannot be opened as a store, so it is not replaced" in demo.fails(f"{GENERATE} --out mine.fod --fresh")
    assert "not a store: it holds thesis.txt" in demo.fails(f"{GENERATE} --out mine.fod")
    assert contents(folder) == {"thesis.txt": b"years of work"}
    (demo.folder / "file.fod").write_text("years of work")
    assert "expected a folder" in demo.fails(f"{GENERATE} --out file.fod")
    assert "is not replaced" in demo.fails(f"{GENERATE} --out file.fod --fresh")
    assert (demo.folder / "file.fod").read_text() == "years of work"
    assert not list(demo.folder.glob(".*")), "nothing was computed for it"


def test_where_nothing_can_be_written_the_message_names_the_path(demo):
    # The tests may run as root, whom permissions do not stop; a path below a file stops everybody.
    message = demo.fails(f"{GENERATE} --out demo/model.py/teacher.fod")
    assert "demo/model.py/teacher.fod: cannot be written" in message
    assert "demo/model.py" in demo.fails("convert demo/teacher.fod demo/model.py/teacher.npz")
    assert "demo/model.py" in demo.fails("demo --out demo/model.py/demo")


def test_a_read_only_folder_is_named(demo):
    # As a user without root's rights, once everything has been imported that this user may not read here.
    demo.folder.joinpath("mine.py").write_text(
        "import numpy as np\n\n\ndef model(inputs):\n    return np.c_[inputs, inputs[:, 0]]\n"
    )
    line = f"{BACKEND} --model mine:model --data demo/test.npz --quiet --out"
    first, second = ([*line.split(), f"{name}.fod"] for name in ("first", "teacher"))
    code = (
        "import os, sys; from probly_data_generator_command_line import main; "
        f"assert main({first}) == 0; os.chmod('.', 0o555); "
        f"os.getuid() or (os.setgid(65534), os.setuid(65534)); sys.exit(main({second}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=demo.folder, capture_output=True, text=True)
    demo.folder.chmod(0o755)
    assert done.returncode == 2, done.stderr
    assert "\nError: teacher.fod: cannot be written: [Errno 13] Permission denied" in done.stderr
    assert not (demo.folder / "teacher.fod").exists()
    assert len(open_store("first.fod")) == 1000


def test_a_store_without_manifest_says_how_to_finish_it(demo):
    demo.run(f"{GENERATE} --out teacher.fod")
    (demo.folder / "teacher.fod/manifest.json").unlink()
    assert "incomplete, all 1,000 rows are there, but manifest.json is not" in demo.run("inspect teacher.fod")
    assert demo.json("inspect teacher.fod")["complete"] is False
    assert "the same `first-order generate` command" in demo.run("verify teacher.fod", code=1)
    assert demo.out.endswith("teacher.fod: 1 problem\n")
    for line in ("convert teacher.fod x.json", "diff teacher.fod demo/teacher.fod", "report teacher.fod"):
        assert "run the `first-order generate` command that made it once more" in demo.fails(line)
    demo.run(f"{GENERATE} --out teacher.fod")
    demo.run("verify teacher.fod")


def test_a_store_without_its_first_file_is_explained(demo):
    (demo.folder / "empty.fod").mkdir()
    for line in ("inspect empty.fod", "convert empty.fod x.json"):
        assert "it has no spec.json" in demo.fails(line)
    assert "it has no spec.json" in demo.json("verify empty.fod", code=1)["problems"][0]


def test_verify_names_every_damaged_shard(demo):
    shutil.copytree("demo/teacher.fod", "bad.fod")
    (shard,) = (demo.folder / "bad.fod/shards").iterdir()
    data = bytearray(shard.read_bytes())
    data[-5] ^= 1
    shard.chmod(0o644)
    shard.write_bytes(data)
    found = demo.json("verify bad.fod", code=1)
    assert found["ok"] is False
    assert shard.name in found["problems"][0]
    assert "remove that shard" in found["problems"][0]
    demo.folder.joinpath("bad.json").write_text('{"distributions": {"0": [0.5, 0.4]}}')
    assert "sums to 0.9" in demo.json("verify bad.json", code=1)["problems"][0]


def test_errors_of_the_users_own_code_name_its_line(demo):
    demo.folder.joinpath("mine.py").write_text(
        "def model(inputs):\n    raise RuntimeError('three\\nlines\\nof it')\n\n\ndef data():\n    open('nope.bin')\n"
    )
    message = demo.fails(f"{BACKEND} --model mine:model --data demo/test.npz --out a.fod", code=3)
    assert "RuntimeError: three lines of it" in message
    assert "mine.py, line 2; --debug shows the traceback" in message
    assert "batch 0" in message
    message = demo.fails(f"{BACKEND} --model demo.model:build --data mine:data --out a.fod", code=3)
    assert "No such file or directory: 'nope.bin'" in message
    assert "mine.py, line 6" in message
    demo.run(f"--debug {BACKEND} --model mine:model --data demo/test.npz --out a.fod", code=3)
    assert "Traceback (most recent call last)" in demo.err


def test_a_run_that_fails_half_way_says_what_is_safe_and_goes_on(demo):
    demo.folder.joinpath("mine.py").write_text(
        "import os\nimport time\n\nimport demo.model\n\nMODEL = demo.model.build()\n\n\ndef model(inputs):\n"
        "    time.sleep(0.06)\n    if not os.path.exists('fixed') and os.listdir('a.fod/shards'):\n"
        "        raise RuntimeError('sick')\n    return MODEL(inputs)\n"
    )
    line = f"{BACKEND} --model mine:model --data demo/test.npz --out a.fod --shard-seconds 0.0001 --batch-size 100"
    message = demo.fails(line, code=3)
    assert "rows are safe in a.fod, and the same command continues from there" in message
    (demo.folder / "fixed").touch()
    before = demo.json(line)["rows_before"]
    assert 0 < before < 1000
    assert demo.json("diff a.fod demo/teacher.fod")["same"]


def test_the_warnings_of_a_run_are_lines_without_code(demo):
    demo.folder.joinpath("mine.py").write_text(
        "class Data:\n    def __len__(self):\n        return 9\n\n    def __iter__(self):\n"
        "        return iter([[0.5, 0.5]] * 7)\n\n\ndata = Data()\n"
    )
    done = finished(demo.folder, *f"{BACKEND} --model demo.model:build --data mine:data --out a.fod".split())
    lines = done.stderr.splitlines()
    assert all(line.startswith("Warning: ") for line in lines), lines
    assert lines[-1].startswith("Warning: generated 7 distributions, but dataset length is 9")


@pytest.mark.parametrize("code", ["0", "7", "'please log in'"])
def test_user_code_that_ends_the_program_is_an_error_that_names_its_line(demo, code):
    demo.folder.joinpath("mine.py").write_text(
        f"import sys\n\n\ndef build():\n    sys.exit({code})\n\n\ndef model(inputs):\n    sys.exit({code})\n"
    )
    said = f"ended the program: SystemExit({code})"
    for line, number in (
        (f"{BACKEND} --model mine:build --data demo/test.npz --out a.fod", 5),
        (f"{BACKEND} --model mine:model --data demo/test.npz --out b.fod", 9),
        (f"{BACKEND} --model demo.model:build --data mine:build --out c.fod", 5),
        ("report demo/teacher.fod --data mine:build", 5),
    ):
        message = demo.fails(line, code=3)
        assert f"mine.py, line {number}, {said}" in message


def test_user_code_that_ends_the_program_half_way_says_what_is_safe(demo):
    demo.folder.joinpath("mine.py").write_text(
        "import os\nimport time\n\nimport demo.model\n\nMODEL = demo.model.build()\n\n\ndef model(inputs):\n"
        "    time.sleep(0.06)\n    if os.listdir('a.fod/shards'):\n        raise SystemExit\n    return MODEL(inputs)\n"
    )
    line = f"{BACKEND} --model mine:model --data demo/test.npz --out a.fod --shard-seconds 0.0001 --batch-size 100"
    message = demo.fails(line, code=3)
    assert "mine.py, line 12, ended the program: SystemExit; " in message
    assert "rows are safe in a.fod, and the same command continues from there" in message
    assert "if data, weights or settings have to change, pass --fresh" in message


@pytest.mark.parametrize("raised", ["EOFError('the file ends')", "BrokenPipeError(32, 'the pipe ends')"])
def test_no_error_of_user_code_is_taken_for_ctrl_c_or_a_closed_output(demo, raised):
    demo.folder.joinpath("mine.py").write_text(f"def data():\n    raise {raised}\n")
    message = demo.fails(f"{BACKEND} --model demo.model:build --data mine:data --out a.fod", code=3)
    assert f"{raised.partition('(')[0]}: " in message
    assert " ends (raised in" in message
    assert "mine.py, line 2" in message


def test_a_reader_that_leaves_ends_inspect_without_a_word_and_stops_no_run(demo):
    # What `| true` does, whenever it does it: nobody holds the other end.
    for line, code in ((f"{GENERATE} --out a.fod", 141), ("inspect demo/teacher.fod", 141)):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            done = subprocess.run(command(*line.split()), stdout=writing, stderr=subprocess.PIPE, text=True)
        finally:
            os.close(writing)
        assert done.returncode == code, done.stderr
        assert "Error" not in done.stderr
        assert "Exception" not in done.stderr
    assert len(open_store("a.fod")) == 1000


@pytest.mark.parametrize("place", ["notes.txt", "shards/notes.txt", "inner.fod/notes.txt"])
def test_what_is_not_the_stores_own_is_never_deleted_with_it(demo, place):
    shutil.copytree("demo/teacher.fod", "mine.fod")
    notes = demo.folder / "mine.fod" / place
    notes.parent.mkdir(exist_ok=True)
    notes.write_text("years of work")
    before = contents(demo.folder / "mine.fod")
    named = "inner.fod" if place.startswith("inner.fod") else place
    said = f"holds more than a store, so it is not replaced: {named}"
    assert said in demo.fails(f"{GENERATE} --out mine.fod --fresh")
    assert said in demo.fails("convert demo/truth.npz mine.fod --overwrite")
    assert contents(demo.folder / "mine.fod") == before


@pytest.mark.parametrize(
    "line",
    [
        f"{GENERATE} --out demo/teacher.fod/x.fod",
        "convert demo/truth.npz demo/teacher.fod/deep/x.npz",
        "report demo/teacher.fod --out demo/teacher.fod/shards/x.html",
        "report demo/teacher.fod --out x.html --figures demo/teacher.fod/figures",
    ],
)
def test_nothing_is_written_into_a_store(demo, line):
    before = contents(demo.folder)
    assert "lies in the store " in demo.fails(line)
    assert {name: data for name, data in contents(demo.folder).items() if "pycache" not in name} == before


def test_a_report_replaces_reports_only(demo):
    (demo.folder / "index.html").write_text("<!DOCTYPE html>\n<html>my home</html>")
    assert "is no report, so it is not replaced" in demo.fails("report demo/teacher.fod --out index.html")
    assert "my home" in (demo.folder / "index.html").read_text()
    demo.run("report demo/teacher.fod --out mine.html --title first")
    demo.run("report demo/teacher.fod --out mine.html --title second")
    assert "second" in (demo.folder / "mine.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("options", ["--top-k 9", "--output-mode probs", "--class-names a,b", "--inputs-key labels"])
def test_a_refused_run_leaves_no_folder(demo, options):
    before = sorted(path.name for path in demo.folder.iterdir())
    demo.run(f"{GENERATE} --out a.fod {options}", code=3 if options == "--inputs-key labels" else 2)
    assert sorted(path.name for path in demo.folder.iterdir()) == before


def test_fresh_replaces_a_store_whose_run_was_killed_before_its_first_rows(demo):
    (demo.folder / "a.fod/shards").mkdir(parents=True)
    (demo.folder / "a.fod/lock").touch()
    demo.run(f"{GENERATE} --out a.fod --fresh")
    assert len(open_store("a.fod")) == 1000


def test_fresh_begins_anew_what_another_fresh_run_left_half_done(demo):
    demo.run(f"{GENERATE} --out .a.fresh.fod --temperature 2")
    (demo.folder / ".a.fresh.fod/manifest.json").unlink()
    demo.run(f"{GENERATE} --out a.fod")
    lock = Lock(demo.folder / ".a.fresh.fod/lock")
    assert "another writer is at work" in demo.fails(f"{GENERATE} --out a.fod --fresh --temperature 3")
    lock.release()
    demo.run("convert demo/teacher.fod a.fod --overwrite")
    assert open_store("a.fod").meta == open_store("demo/teacher.fod").meta
    assert demo.json(f"{GENERATE} --out a.fod --fresh --temperature 3")["rows_before"] == 0
    assert open_store("a.fod").spec.identity["output_transform"]["name"] == "Temperature(3.0)"
    assert sorted(path.name for path in demo.folder.iterdir()) == ["a.fod", "demo"]


def test_what_user_code_prints_is_no_part_of_the_json(demo):
    demo.folder.joinpath("mine.py").write_text(
        "import demo.model\n\n\ndef build():\n    print('building')\n    return demo.model.build()\n"
    )
    assert demo.json(f"{BACKEND} --model mine:build --data demo/test.npz --out a.fod")["rows"] == 1000
    assert demo.err == "building\n"
    demo.folder.joinpath("own.py").write_text(
        "import numpy\n\n\ndef data():\n    print('reading')\n    return numpy.zeros((1000, 2))\n"
    )
    demo.json("report demo/teacher.fod --data own:data")
    assert "reading" in demo.err


def test_an_error_of_the_system_names_the_path_that_was_given_and_what_to_do(demo):
    (demo.folder / "x.npz").mkdir()
    message = demo.fails("convert demo/teacher.fod x.npz --overwrite")
    assert message == "Error: x.npz: Is a directory; a file is expected there; choose another path\n"
    message = demo.fails("report demo/teacher.fod --figures demo/test.npz")
    assert "demo/test.npz: File exists; a folder is expected there" in message


def test_permissions_are_explained_for_reading_and_writing(demo):
    # As a user without root's rights, once everything has been imported that this user may not read here.
    demo.folder.joinpath("mine.py").write_text("def model(inputs):\n    return inputs\n")
    line = f"{BACKEND} --model mine:model --data demo/test.npz --quiet --out first.fod".split()
    write = "convert demo/truth.npz {}.npz"
    read = f"{BACKEND} --model mine:model --data secret.npz --out second.fod".split()
    shutil.copy("demo/test.npz", "secret.npz")
    code = (
        "import os, sys; from probly_data_generator_command_line import main; "
        f"assert main({line}) == 0; assert main({write.format('a').split()}) == 0; "
        "os.chmod('secret.npz', 0); os.chmod('.', 0o555); os.getuid() or (os.setgid(65534), os.setuid(65534)); "
        f"sys.exit(10 * main({write.format('b').split()}) + main({read}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=demo.folder, capture_output=True, text=True)
    demo.folder.chmod(0o755)
    assert done.returncode == 22, done.stderr
    assert "b.npz: Permission denied; choose another path, or have its permissions changed" in done.stderr
    assert "secret.npz: cannot be read: Permission denied" in done.stderr
    assert ".part" not in done.stderr


def test_messages_name_the_option_and_the_text_that_was_given(demo):
    demo.folder.joinpath("mine.py").write_text(
        "nothing = None\n\n\ndef need(a, b):\n    return a\n\n\ndef texts(inputs):\n    return {'a': 'b', 'c': 'd'}\n"
    )
    model, data = f"{BACKEND} --data demo/test.npz --out a.fod --model", f"{BACKEND} --model demo.model:build --data"
    assert "raised while --model mine:nothing was loaded" in demo.fails(f"{model} mine:nothing")
    assert "in the model that --model names" in demo.fails(f"{model} mine:texts")
    assert "--model __main__:x: there is no module '__main__'" in demo.fails(f"{model} __main__:x")
    assert "--data mine:nothing: expected a dataset" in demo.fails(f"{data} mine:nothing --out a.fod")
    assert "--data mine:need: expected a dataset" in demo.fails(f"{data} mine:need --out a.fod")
    demo.run(f"{GENERATE} --out a.fod --shard-seconds 0", code=2)
    assert "Invalid value for '--shard-seconds'" in demo.err
    said = demo.fails("generate --backend tensorflw --model demo.model:build --data demo/test.npz --out a.fod")
    assert said.endswith("did you mean 'tensorflow'?\n")
