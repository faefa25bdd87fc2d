"""`first-order` with an IR."""

import pytest

from probly.data_generator.testing import reference
from tests.command_line.conftest import shell as shell  # noqa: PLC0414  # a fixture is found by its name
from tests.frameworks.killed_files import check_killed_file
from tests.frameworks.openvino import cnn_model
from tests.openvino_backend.runs import WEIGHTS, generator, save


def test_a_file_of_openvino_is_killed_and_continued(shell):
    inputs, labels = reference.samples(rows=1000)
    save(shell.folder / "m.xml")
    check_killed_file(shell, "m.xml", inputs, labels, reference.softmax(reference.mlp_logits(WEIGHTS, inputs)))


@pytest.mark.parametrize(("layout", "channels"), [("NHWC", "last"), ("NCHW", "first")])
def test_pictures_get_the_axes_that_the_model_wants(layout, channels):
    assert generator(cnn_model(reference.cnn_weights(channels=3), layout=layout))._loaded.channels == channels
