"""SIGTERM ends a run with 143, whatever a library that was waiting makes of the exit."""

import signal

import pytest

from probly.data_generator.run.terminating import terminating


@terminating()
def waiting(told):
    try:
        if told:
            signal.raise_signal(signal.SIGTERM)
    finally:
        raise SystemExit(1)  # as Ray does where a signal comes while it waits


@pytest.mark.parametrize(("told", "code"), [(True, 128 + signal.SIGTERM), (False, 1)])
def test_another_exit_in_place_of_ours(told, code):
    with pytest.raises(SystemExit) as caught:
        waiting(told)
    assert caught.value.code == code
