"""What the driver hands out when workers are lost: each shard as often as needed, and no more."""

import pytest

from probly.data_generator.engines.driver import Driver
from probly.data_generator.errors import WorkerError
from probly.data_generator.run.ranges import Receipt


@pytest.fixture
def driver():
    made = Driver(lambda rows, there: None, lambda receipt: None)
    made.admitted(rows=12, shard_rows=4, missing=[0, 1, 2])
    return made


def test_what_a_lost_worker_had_is_handed_out_next(driver):
    assert [driver.next("a"), driver.next("b")] == [0, 1]
    driver.lost("a", "by signal 9")
    assert [driver.next("c"), driver.next("d")] == [0, 2]


def test_what_another_worker_has_as_well_is_not_handed_out_a_third_time(driver):
    assert [driver.next(worker) for worker in "abcd"] == [0, 1, 2, 0]
    driver.lost("a", "by signal 9")
    assert driver.next("e") == 1  # not 0, which d has


def test_a_shard_that_is_published_is_no_loss(driver):
    for death in range(3):
        for worker in ("x", "y"):
            driver.next((worker, death))
        driver.received(("y", death), Receipt(0, 4, []))
        driver.received(("y", death), Receipt(1, 4, []))
        driver.lost(("x", death), "by signal 9")  # it had computed what is there
    assert driver.next("z") == 2


def test_the_third_loss_over_one_shard_ends_the_run(driver):
    for worker in "ab":
        assert driver.next(worker) == 0
        driver.lost(worker, "by signal 9")
    assert driver.next("c") == 0
    with pytest.raises(WorkerError, match="3 workers died while they computed shard 0; the last one by signal 9"):
        driver.lost("c", "by signal 9")
