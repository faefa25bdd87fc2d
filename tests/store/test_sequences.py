"""Any sequence of interrupted runs, losses and resumptions, against a plain list."""

import os
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from probly.data_generator.store import open_partial, open_store
from tests.store import stores


class Machine(RuleBasedStateMachine):
    """Any sequence of interrupted runs, damage that is repaired, and looks at the store."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "a.fod"
        self.safe = set()

    def teardown(self):
        self.folder.cleanup()

    @rule(
        stop=st.integers(0, stores.ROWS - 1), size=st.integers(1, 50), shard=st.integers(1, 30), labelled=st.booleans()
    )
    def crash(self, stop, size, shard, labelled):
        row = stores.INPUTS[stop]

        class Linear(stores.Linear):
            def __call__(self, inputs):
                if (inputs == row).all(axis=1).any():
                    raise KeyboardInterrupt
                return super().__call__(inputs)

        Linear.__qualname__ = "Linear"
        try:
            stores.run(
                self.path, model=Linear(), batch_size=size, shard_megabytes=shard * 12 / 2**20, output_mode="logits"
            )
        except KeyboardInterrupt:
            return
        assert len(open_store(self.path)) == stores.ROWS

    @rule(size=st.integers(1, 50), shard=st.integers(1, 30))
    def finish(self, size, shard):
        assert stores.agrees(
            stores.run(self.path, batch_size=size, shard_megabytes=shard * 12 / 2**20, output_mode="logits")
        )

    @rule(choice=st.randoms(use_true_random=False))
    def lose_a_shard(self, choice):
        names = sorted(os.listdir(self.path / "shards")) if self.path.exists() else []
        if names:
            name = choice.choice(names)
            (self.path / "shards" / name).unlink()
            start, stop = map(int, name.partition(".")[0].split("-"))
            self.safe -= set(range(start, stop))

    @invariant()
    def holds_what_the_list_holds(self):
        if not (self.path / "spec.json").exists():
            return
        store = open_partial(self.path)
        held = list(store)
        assert held == sorted(set(held))
        assert self.safe <= set(held)
        for index in held:
            assert store[index].tobytes() == stores.EXPECTED[index].tobytes()
        assert [index for index in range(-2, stores.ROWS + 2) if index in store] == held
        assert store.missing(stores.ROWS).tolist() == sorted(set(range(stores.ROWS)) - set(held))
        self.safe = set(held)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=40, stateful_step_count=12, deadline=None)
