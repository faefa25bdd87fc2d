"""The timing wrapper of the examples, built as a wheel, installed, named by the user, run."""

import logging
from collections import Counter

import pytest

from probly.data_generator.discovery.rules import new_manager
from probly.data_generator.hookspecs import DEFAULTED, OPTIONAL, REQUIRED
from tests.discovery.models import Linear, generator, inputs, plain_rows


def test_timing_counts_and_logs_every_hook_and_changes_no_row(installed, caplog, tmp_path):
    caplog.set_level(logging.INFO, "first_order_timing")
    made = generator(Linear(), "timing")
    rows = made.generate_distributions(inputs(20), out=tmp_path / "rows.fod")
    with pytest.raises(ValueError, match="no Bayesian layer"):
        made.get_posterior_distributions()
    assert rows == plain_rows(Linear(), inputs(20))
    (timing,) = made.backend.wrappers
    assert timing.calls == {
        "load_model": 2,  # for the run, and once more for the posterior
        "iterate_batches": 1,
        "next batch": 4,  # the last one finds the end
        "to_device": 6,  # the inputs and the scores of each batch
        "forward": 3,
        "to_device host": 3,
        "weight_digest": 2,  # before and after: a run may change a model, but does not make it another one
        "posterior_params": 1,
    }
    logged = Counter(record.args[0] for record in caplog.records)
    assert logged == timing.calls
    last = {record.args[0]: record.args[3] for record in caplog.records}
    assert last == timing.seconds
    assert all(seconds > 0 for seconds in last.values())
    assert len(str(timing).splitlines()) == len(last)


def test_timing_wraps_every_hook_that_there_is(installed):
    import first_order_timing

    manager = new_manager()
    manager.register(first_order_timing.Timing())
    wrapped = {name for name, caller in vars(manager.hook).items() if caller.get_hookimpls()}
    assert wrapped == {*REQUIRED, *DEFAULTED, *OPTIONAL}


def test_timing_counts_a_call_that_fails(installed):
    def model(batch):
        raise ZeroDivisionError

    made = generator(model, "timing")
    with pytest.raises(ZeroDivisionError):
        made.generate_distributions(inputs())
    assert made.backend.wrappers[0].calls["forward"] == 1


def test_timing_hides_neither_the_length_nor_the_end_of_a_loader(installed):
    with pytest.warns(UserWarning, match="generated 10 distributions, but dataset length is 12"):
        generator(Linear(), "timing").generate_distributions(Lazy(10, 12))


class Lazy:
    """An iterable that announces more samples than it has."""

    def __init__(self, rows, announced):
        self.rows, self.announced = rows, announced

    def __len__(self):
        return self.announced

    def __iter__(self):
        return iter(inputs(self.rows))
