"""Saved folders, which nothing changes; a test that wants to makes a copy."""

import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the library is imported: a test that wants a network fails at once

import torch

from tests.transformers_backend import runs


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Run small models in one thread: several wait for each other longer than they compute, beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(before)


def saved(folder, *parts):
    """Save a model and what prepares its inputs, and return the folder."""
    for part in parts:
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("bert"), runs.of_texts(), runs.tokenizer())


@pytest.fixture(scope="session")
def vit(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("vit"), runs.of_pictures(), runs.image_processor())
