"""Folders: opened without their code, without pickles and without a network; a model that is not whole is refused."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

from tests.transformers_backend.runs import check, of_texts, rows_of_texts, run, sentences, tokenizer

TEXTS = sentences(6)


@pytest.fixture
def folder(bert, tmp_path):
    return shutil.copytree(bert, tmp_path / "model")


def settings(path, **changes):
    """Change a file of settings; None removes an entry."""
    known = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps({name: value for name, value in known.items() if value is not None}), encoding="utf-8")


CODE = "import pathlib\npathlib.Path({marker!r}).touch()\n"


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("config.json", {"AutoModelForSequenceClassification": "own.Model", "AutoConfig": "own.Config"}),
        ("tokenizer_config.json", {"AutoTokenizer": ["own.Tokenizer", None]}),
    ],
)
def test_no_code_of_a_folder_is_run(folder, tmp_path, file, names):
    (folder / "own.py").write_text(CODE.format(marker=str(tmp_path / "hacked")))
    settings(folder / file, auto_map=names)
    with pytest.raises(ValueError, match=rf"{file}: wants code of its own .*own\..*model=\(model, tokenizer\)"):
        run(folder, TEXTS)
    with pytest.raises(ValueError, match="this backend opens none of them"):
        run(folder, TEXTS, options={"trust": True})
    assert not (tmp_path / "hacked").exists()


class Harmful:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def test_pickled_weights_are_refused_with_the_way_out(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    torch.save(Harmful(str(tmp_path / "hacked")), folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"has no model.safetensors; pytorch_model.bin is a pickle.*save_pretrained"):
        run(folder, TEXTS)
    assert not (tmp_path / "hacked").exists()
    torch.load(folder / "pytorch_model.bin", weights_only=False)
    assert (tmp_path / "hacked").exists(), "it would have done harm"


def test_the_way_out_of_pickled_weights_works(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    torch.save(of_texts().state_dict(), folder / "pytorch_model.bin")
    BertForSequenceClassification.from_pretrained(folder).save_pretrained(tmp_path / "other")
    tokenizer().save_pretrained(tmp_path / "other")
    check(run(tmp_path / "other", TEXTS), rows_of_texts(of_texts(), tokenizer(), TEXTS))


def test_weights_in_several_files(tmp_path):
    model = of_texts()
    model.save_pretrained(tmp_path / "many", max_shard_size="8KB")
    tokenizer().save_pretrained(tmp_path / "many")
    index = tmp_path / "many" / "model.safetensors.index.json"
    check(run(tmp_path / "many", TEXTS), rows_of_texts(model, tokenizer(), TEXTS))
    elsewhere = {name: f"../{file}" for name, file in json.loads(index.read_text())["weight_map"].items()}
    settings(index, weight_map=elsewhere)
    with pytest.raises(ValueError, match=r"names '\.\./model-0.*expected one in the folder"):
        run(tmp_path / "many", TEXTS)


REFUSED = {
    "no head": (lambda folder: BertForMaskedLM(config()).save_pretrained(folder), "BertForMaskedLM, which is no class"),
    "another head": (
        lambda folder: settings(folder / "config.json", num_labels=None, id2label={str(n): f"c{n}" for n in range(5)}),
        r"2 weights of BertForSequenceClassification .*classifier\.(bias|weight).*would be random",
    ),
    "half of it": (
        lambda folder: settings(folder / "config.json", num_hidden_layers=3), r"16 weights .* are not there"
    ),
    "more than all": (
        lambda folder: settings(folder / "config.json", num_hidden_layers=1), r"16 weights that .* does not know"
    ),
    "of timm": (
        lambda folder: settings(folder / "config.json", model_type=None, architectures=None, architecture="resnet18"),
        "not of a model of transformers .*as timm does",
    ),
    "an adapter": (lambda folder: (folder / "adapter_config.json").write_text("{}"), "adapter.*merge_and_unload"),
    "weights elsewhere": (
        lambda folder: settings(folder / "config.json", transformers_weights="other.safetensors"), "other.safetensors"
    ),
    "damaged settings": (lambda folder: (folder / "config.json").write_text("{"), r"config\.json: is damaged"),
    "other settings": (lambda folder: (folder / "config.json").write_text("[]"), "expected a mapping of settings"),
    "damaged weights": (
        lambda folder: (folder / "model.safetensors").write_bytes(b"nonsense"), "cannot be opened by transformers"
    ),
    "a damaged tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_text("nonsense"), "cannot be opened by transformers"
    ),
}  # fmt: skip


def config():
    return BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9)


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_is_no_whole_classifier_is_refused(folder, what):
    change, said = REFUSED[what]
    change(folder)
    with pytest.raises(ValueError, match=said):
        run(folder, TEXTS)


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a folder that save_pretrained has written"):
        run(tmp_path, TEXTS, backend="transformers")


def test_a_folder_without_a_tokenizer_takes_tokenised_samples(tmp_path):
    model, words = of_texts(), tokenizer()
    model.save_pretrained(tmp_path)
    samples = [dict(words(text)) for text in TEXTS]
    check(run(tmp_path, samples), rows_of_texts(model, words, TEXTS))
    with pytest.raises(TypeError, match=r"came without its tokenizer; .*tokenizer.save_pretrained\(folder\)"):
        run(tmp_path, TEXTS)
    words.save_pretrained(tmp_path)
    check(run(tmp_path, TEXTS), rows_of_texts(model, words, TEXTS))


ALONE = """
import os, socket, sys
os.environ["HF_HUB_OFFLINE"] = "0"
asked = []

def refused(*arguments, **options):
    asked.append(arguments)
    raise OSError("no network")

socket.getaddrinfo = socket.socket.connect = socket.create_connection = refused
import numpy as np
from PIL import Image
from probly.data_generator import FirstOrderDataGenerator

for folder, sample in zip(sys.argv[1:], ["a cat", Image.new("RGB", (20, 20))]):
    print(FirstOrderDataGenerator(folder).generate_distributions([sample] * 2, progress=False).num_classes)
assert asked == [], asked
"""


def test_nothing_asks_a_network(bert, vit):
    done = subprocess.run([sys.executable, "-c", ALONE, bert, vit], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3", "3"]
