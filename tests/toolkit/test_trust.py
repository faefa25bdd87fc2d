"""The option for files that run code: where nobody needs it, and that it is no part of a run."""

import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.hookspecs import hookimpl
from probly.data_generator.toolkit.options import checked_options
from probly.data_generator.toolkit.trust import TRUST_OPTION, untrusted

INPUTS = np.eye(3, dtype=np.float32)


def test_a_backend_without_such_files_says_that_it_needs_no_trust():
    with pytest.raises(
        ValueError, match=r"'numpy': option 'trust' \(--trust-model .* opens none of them; leave it out"
    ):
        FirstOrderDataGenerator(lambda batch: batch, backend="numpy", options={"trust": True})
    with pytest.raises(ValueError, match=r"backend 'mine': option 'trust' .*leave it out"):
        checked_options({"trust": True}, {"threads": range(9)}, "mine")


def test_trust_is_a_truth_value():
    assert checked_options({}, TRUST_OPTION, "mine") == {"trust": False}
    assert checked_options({"trust": True}, TRUST_OPTION, "mine") == {"trust": True}
    for value in (1, "yes", None):
        with pytest.raises(ValueError, match="option 'trust': expected one of False, True"):
            checked_options({"trust": value}, TRUST_OPTION, "mine")


def test_the_refusal_says_what_and_how():
    message = str(untrusted("net.pkl", "a pickle runs any code"))
    assert message.startswith("net.pkl: a pickle runs any code, so it was not opened; ")
    assert "options={'trust': True}" in message
    assert "--trust-model" in message


class Recorded:
    """A model that says of itself what options it got."""

    def __init__(self, model, options):
        self.model, self.options = model, options

    def __getattr__(self, name):
        return getattr(self.model, name)


class Records:
    """Stands around a backend that puts every option that it got into what it says of its model."""

    def __init__(self, **options):
        self.options = options

    @hookimpl(wrapper=True)
    def load_model(self):
        model = yield
        return Recorded(model, self.options)


def run(out=None, **options):
    generator = FirstOrderDataGenerator(lambda batch: batch, backend="numpy", wrappers=[Records(**options)])
    return generator.generate_distributions(INPUTS, progress=False, out=out)


def test_trust_is_no_part_of_a_run_whatever_a_backend_records(tmp_path):
    assert "options" not in run(trust=True).meta
    assert run(trust=True, threads=2).meta["options"] == {"threads": 2}
    first = run(tmp_path / "a.fod")
    assert run(tmp_path / "a.fod", trust=True) == first
