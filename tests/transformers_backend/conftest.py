"""Saved folders, which nothing changes; a test that wants to makes a copy."""

import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the library is imported: a test that wants a network fails at once

from tests.transformers_backend import runs


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
