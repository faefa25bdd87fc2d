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
    assert not naming.give_name(tmp_path / "nothing", target)  # whoever completed the store has removed the draft
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
