"""Mistakes of a beginner on the command line: each is explained by what works, and harms nothing."""

import numpy as np
import pytest

from probly.data_generator.store import FORMATS
from tests.command_line.commands import contents

BACKEND = "generate --backend numpy"
GENERATE = f"{BACKEND} --model demo.model:build --data demo/test.npz"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("inspect nothing.fod", "nothing.fod: there is no such store or file in "),
        ("verify nothing.json", "nothing.json: there is no such store or file in "),
        ("convert nothing.npz x.json", "nothing.npz: there is no such store or file in "),
        ("inspect demo/model.py", f"expected one of the suffixes {', '.join(FORMATS)}, got '.py'"),
        (
            "inspect demo",
            "is a folder, expected a store, which ends in .fod, or a file; in it there are the stores demo/teacher.fod",
        ),
        ("diff demo demo/truth.npz", "in it there are the stores demo/teacher.fod"),
        ("convert demo/teacher.fod teacher.txt", "expected one of the suffixes .csv, .feather, .fod, .json"),
        ("convert demo/teacher.fod demo/truth.npz", "exists, and was left as it is"),
        ("convert demo/teacher.fod x.json --top-k 3", "--top-k and --dtype are for stores"),
        ("diff demo/teacher.fod demo/test.npz", "expected arrays called probabilities"),
        (f"{GENERATE} --out teacher.json", "first-order convert teacher.fod teacher.json"),
        (f"{GENERATE} --out teacher.txt", "first-order convert teacher.fod teacher.npz"),
        (f"{GENERATE} --out teacher.parquet", "first-order convert teacher.fod teacher.parquet"),
        (f"{GENERATE} --out teacher", "first-order convert teacher.fod teacher.npz"),
        (f"{GENERATE} --out a.fod --top-k 2 --dtype float16", "leave out --dtype"),
        (
            "generate --backend nope --model demo.model:build --data demo/test.npz --out a.fod",
            "Unknown framework: nope",
        ),
        (f"{BACKEND} --model demo.model:nope --data demo/test.npz --out a.fod", "has no attribute 'nope'"),
        (f"{BACKEND} --model nope.model:build --data demo/test.npz --out a.fod", "there is no module 'nope'"),
        (f"{BACKEND} --model nope.bin --data demo/test.npz --out a.fod", "no such file or folder in "),
        (f"{BACKEND} --model demo/weights.npz --data demo/test.npz --out a.fod", "opens no such file"),
        (
            "generate --model demo/weights.npz --data demo/test.npz --out a.fod",
            "claims the suffix '.npz': 'demo/weights.npz'; set backend=",
        ),
        (f"{GENERATE} --weights nope.bin --out a.fod", "--weights nope.bin: there is no such file"),
        (f"{GENERATE} --weights demo/weights.npz --out a.fod", "if this backend takes no --weights, let --model name"),
        (f"{GENERATE} --device tpu --out a.fod", "device 'tpu' is not available"),
        (f"{GENERATE} --class-names a,b --out a.fod", "expected 3 names, one per class, got 2"),
        (f"{GENERATE} --inputs-key nope --out a.fod", "there is no such array or column; there are inputs, labels"),
        (f"{GENERATE} --output-mode probs --out a.fod", "the row is no distribution"),
        (f"{BACKEND} --model demo.model:build --data demo/model.py --out a.fod", "such as demo.model:NAME"),
        (f"{BACKEND} --model demo/model.py --data demo/test.npz --out a.fod", "such as demo.model:NAME\n"),
        (f"{BACKEND} --model demo.model:build --data demo/no.npz --out a.fod", "no such file or folder in "),
        (f"{BACKEND} --model demo.model:build --data demo/teacher.fod --out a.fod", "is a store of distributions"),
        (f"{GENERATE} --out demo", "expected a store's path, which ends in .fod"),
        ("report demo/teacher.fod --data demo/few.npz", "expected the 1,000 samples that the rows belong to, got 7"),
    ],
)
def test_a_mistake_is_explained_and_harms_nothing(demo, line, said):
    np.savez("demo/few.npz", inputs=np.zeros((7, 2)))
    before = contents(demo.folder)
    assert said in demo.fails(line)
    after = contents(demo.folder)
    assert {name: data for name, data in after.items() if "__pycache__" not in name and name in before} == before
    assert not [name for name in after if name.endswith("manifest.json") and name not in before]


def test_a_mistake_before_a_run_says_nothing_of_rows_that_are_there(demo):
    demo.run(f"{GENERATE} --out a.fod")
    for line in (f"{BACKEND} --model demo.model:nope --data demo/test.npz", f"{GENERATE} --inputs-key nope"):
        assert "safe" not in demo.fails(f"{line} --out a.fod")


def test_a_store_under_another_name_is_known(demo):
    (demo.folder / "demo/teacher.fod").rename("renamed")
    assert demo.fails("verify renamed") == (
        "Error: renamed: is a store, but its name does not end in .fod; rename it\n"
    )


def test_code_in_another_folder_is_named_by_its_module(demo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("other")
    (folder / "own.py").touch()
    message = demo.fails(f"{BACKEND} --model {folder}/own.py --data demo/test.npz --out a.fod")
    assert message.endswith(f"such as own:NAME, in the folder {folder}\n")
