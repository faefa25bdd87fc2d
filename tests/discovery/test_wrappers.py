"""Wrapper plugins as strangers ship them: named, chosen per generator, refused where they do not fit."""

import subprocess
import sys

import numpy as np
import pytest

import probly.data_generator as fod
from probly.data_generator.hookspecs import hookimpl
from tests.discovery.conftest import EXAMPLES
from tests.discovery.models import Linear, generator, inputs, plain_rows


def test_an_installed_wrapper_is_never_active_by_itself(wrappers_site):
    code = (
        f"import sys; sys.path.insert(0, {str(wrappers_site)!r})\n"
        "import numpy as np, probly.data_generator as fod\n"
        "made = fod.FirstOrderDataGenerator(lambda x: x, backend='numpy')\n"
        "made.generate_distributions(np.eye(3))\n"
        "assert made.backend.wrappers == ()\n"
        "print([name for name in sys.modules if name.startswith(('first_order_', 'tiny_'))], list(fod.list_backends()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] [")
    assert "timing" not in done.stdout


def test_wrappers_are_listed_without_importing_them(wrappers_site):
    code = (
        f"import sys; sys.path.insert(0, {str(wrappers_site)!r})\n"
        "import probly.data_generator as fod\n"
        "print({name: info.distribution for name, info in sorted(fod.list_wrappers().items())})\n"
        "print([name for name in sys.modules if name.startswith(('first_order_', 'tiny_', 'numpy'))])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    listed, imported = done.stdout.splitlines()
    assert "'forward-cache': 'first-order-forward-cache'" in listed
    assert "'timing': 'first-order-timing'" in listed
    assert "both" not in listed, "an ambiguous name is nobody's"
    assert "numpy'" not in listed, "backends are no wrappers"
    assert imported == "[]"


def test_a_module_is_a_wrapper(installed):
    made = generator(Linear(), "module")
    made.generate_distributions(inputs(20))
    assert sys.modules["tiny_wrapper_module"].seen == [8, 8, 4]
    assert made.backend.wrappers == (sys.modules["tiny_wrapper_module"],)


def test_every_generator_gets_its_own_from_a_class(installed):
    first, second = (generator(Linear(), "timing").backend.wrappers[0] for _ in range(2))
    assert first is not second
    assert first.calls["load_model"] == 1


def test_unknown_wrappers_list_the_installed_ones(installed):
    with pytest.raises(
        ValueError, match=r"Unknown wrapper: timming \(installed wrappers: .*forward-cache.*timing\); did"
    ):
        generator(Linear(), "timming")


def test_a_name_of_two_distributions_is_refused(installed):
    with pytest.raises(fod.AmbiguousBackendError, match=r"wrapper 'both': claimed by tiny-first 1.0 and tiny-second"):
        generator(Linear(), "both")


@pytest.mark.parametrize(("name", "cause"), [("broken", "OSError: torn"), ("exits", "SystemExit: 3")])
def test_a_broken_wrapper_says_so_and_harms_no_other(name, cause, installed):
    with pytest.raises(
        fod.BrokenBackendError, match=f"wrapper '{name}' .tiny-{name} 1.0. is installed but broken: {cause}"
    ):
        generator(Linear(), name)
    generator(Linear(), "timing").generate_distributions(inputs(8))


def test_a_plain_implementation_answers_first_or_passes():
    class EveryOther:
        def __init__(self, answer):
            self.asked, self.answer = 0, answer

        @hookimpl(tryfirst=True)
        def forward(self, inputs):
            self.asked += 1
            return np.full((len(inputs), 3), self.answer, np.float32) if self.asked % 2 else None

    rows = generator(Linear(), EveryOther(1 / 3), output_mode="probs", batch_size=4).generate_distributions(
        np.full((4, 5), 0.0, np.float32)
    )
    np.testing.assert_allclose(rows, np.full((4, 3), 1 / 3), rtol=1e-6)
    mixed = generator(Linear(), EveryOther(7)).generate_distributions(inputs(16))
    np.testing.assert_allclose(mixed.probabilities[:8], np.full((8, 3), 1 / 3), rtol=1e-6)
    np.testing.assert_array_equal(mixed.probabilities[8:], plain_rows(Linear(), inputs(16)).probabilities[8:])


def test_what_does_not_fit_is_refused():
    class Replaces:
        @hookimpl
        def forward(self, model):
            return None

    class Late:
        @hookimpl(trylast=True)
        def forward(self, model):
            return None

    class Default:
        @hookimpl(wrapper=True)
        def forward(self, inputs, batch_size=3):
            return (yield)

    class Nothing:
        def forward(self, inputs):
            return inputs

    replaces = r"would replace the hook forward; use @hookimpl\(wrapper=True\), or @hookimpl\(tryfirst=True\)"
    cases = {Replaces: replaces, Late: replaces, Default: "remove the default", Nothing: "got a Nothing without any"}
    for kind, says in cases.items():
        with pytest.raises(TypeError, match=says):
            generator(Linear(), kind())
    twice = type("Twice", (), {"forward": hookimpl(wrapper=True)(lambda self: (yield))})()
    with pytest.raises(TypeError, match="already registered"):
        generator(Linear(), twice, twice)


def test_a_wrapper_around_an_optional_hook_does_not_make_it_exist():
    class Around:
        @hookimpl(wrapper=True)
        def recognizes(self):
            return (yield)

        @hookimpl(wrapper=True)
        def forward(self):
            return (yield)

        @hookimpl(hookwrapper=True)
        def data_digest(self):
            yield

    backend = generator(Linear(), Around()).backend
    assert not backend.has("recognizes")
    assert not backend.has("data_digest")
    assert backend.has("forward")
    assert backend.has("is_out_of_memory")


def test_the_examples_are_short():
    for file in EXAMPLES.rglob("*.py"):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 100, file
