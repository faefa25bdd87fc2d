"""Giving a file its name: once, and never in place of another one."""

import pytest

from probly_data_generator_store import naming
from tests.store import shared, stores


def test_a_name_is_given_once(tmp_path):
    one, other, target = tmp_path / "one", tmp_path / "other", tmp_path / "target"
    one.write_text("one")
    other.write_text("other")
    assert naming.give_name(one, target)
    assert naming.give_name(one, target)  # as when the answer to a link was lost on its way
    assert not naming.give_name(other, target)
    assert target.read_text() == "one"
    with pytest.raises(FileNotFoundError):
        naming.give_name(tmp_path / "nothing", tmp_path / "free")


@pytest.mark.parametrize("code", naming.WITHOUT_LINKS)
def test_file_systems_without_links(tmp_path, monkeypatch, code):
    def link(source, target):
        raise OSError(code, "no links here")

    monkeypatch.setattr(naming.os, "link", link)
    one, other, target = tmp_path / "one", tmp_path / "other", tmp_path / "target"
    one.write_text("one")
    other.write_text("other")
    assert naming.give_name(one, target)
    assert not naming.give_name(other, target)
    assert target.read_text() == "one"
    assert stores.agrees(shared.run(tmp_path / "a.fod"))
    monkeypatch.setattr(naming.ctypes, "CDLL", lambda *_, **__: object())
    with pytest.raises(OSError, match="neither a link nor a rename that replaces nothing"):
        naming.give_name(other, tmp_path / "free")


def test_a_link_whose_answer_was_lost_is_ours(tmp_path, monkeypatch):
    original = os.link

    def link(source, target):
        original(source, target)
        original(source, target)  # as a network file system asks again: it is there by now

    draft, name = tmp_path / "draft", tmp_path / "name"
    draft.write_bytes(b"ours")
    monkeypatch.setattr(os, "link", link)
    assert give_name(draft, name)


def test_a_draft_that_whoever_completed_the_store_has_removed(tmp_path):
    (tmp_path / "name").write_bytes(b"theirs")
    assert not give_name(tmp_path / "draft", tmp_path / "name")
    with pytest.raises(FileNotFoundError):
        give_name(tmp_path / "draft", tmp_path / "other")
