"""`first-order` with a quantised file of TensorFlow's converter."""

from probly.data_generator.testing import reference
from tests.command_line.conftest import shell as shell  # noqa: PLC0414  # a fixture is found by its name
from tests.frameworks.killed_files import check_killed_file
from tests.frameworks.litert import cnn_model
from tests.litert_backend.runs import CONVERTED, by_hand, generator


def test_a_quantised_file_is_killed_and_continued(shell):
    inputs, labels = reference.samples(rows=1000)
    raw = by_hand(CONVERTED["inner_int8"].read_bytes(), inputs)
    check_killed_file(shell, CONVERTED["inner_int8"], inputs, labels, raw / raw.sum(axis=1, keepdims=True))


def test_pictures_get_the_axes_that_the_model_wants():
    assert generator(cnn_model(reference.cnn_weights(channels=3)))._loaded.channels == "last"
