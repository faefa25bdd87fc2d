"""A wrapper that remembers scores: ``FirstOrderDataGenerator(..., wrappers=["forward-cache"])``.

A generator that meets a batch again gets the scores of the first time: ``remembered`` answers first or passes, and the
wrapper around ``forward`` keeps what the backend answered. The key holds what a backend may look at: the inputs' bytes,
dtypes, shapes and names, batch size, device, options, and the model: its weights and all other state that pickle sees.
Where that cannot be told, the backend is asked: plain functions, outputs that an output_transform wants whole, scores
in half precision, tables, samples that are no arrays. Not seen: code, class attributes or globals that change;
then call ``generator.backend.wrappers[0].clear()``. The cost: a digest of the model per run, a copy of the inputs to
the host per batch, and for a new batch the wait for its scores, so that computing and copying no longer overlap.
"""

import hashlib
import logging
import pickle
from collections import OrderedDict
from os import PathLike
from types import SimpleNamespace

import numpy as np

from probly.data_generator.hookspecs import HOST, hookimpl
from probly.data_generator.toolkit.digest import digest
from probly.data_generator.toolkit.nests import is_table, leaves, map_leaves
from probly.data_generator.toolkit.outputs import pick_scores

logger = logging.getLogger(__name__)


class ForwardCache:
    """The scores of the batches that were used last, ``max_bytes`` of them; ``hook`` holds the generator's hooks."""

    def __init__(self, hook, max_bytes=2**28):
        self.hook, self.max_bytes = hook, max_bytes
        self.loaded = self.source = self.model = self.model_key = self.wanted = None
        self.clear()

    def clear(self):
        self.rows, self.bytes = OrderedDict(), 0

    @hookimpl(wrapper=True)
    def load_model(self, source, device, options):
        model = yield
        self.loaded = model, source, f"{device} {sorted(options.items())}"
        return model

    @hookimpl(wrapper=True)
    def iterate_batches(self, model):
        """Look at the model once per run: somebody may have trained it since the last one."""
        loaded, source, settings = self.loaded
        if source is not self.source:  # another object may have the same weights and other code
            self.clear()
        self.source, self.model = source, model
        self.model_key = self._model_key(model, source, settings) if loaded is model else None
        return (yield)

    @hookimpl(tryfirst=True, specname="forward")
    def remembered(self, model):
        if self.wanted not in self.rows:
            return None
        self.rows.move_to_end(self.wanted)
        return self.hook.to_device(data=self.rows[self.wanted], device=model.device)

    @hookimpl(wrapper=True)
    def forward(self, model, inputs, batch_size):
        # Before the model is called: it may work in place.
        self.wanted = key = self._key(model, inputs, batch_size)
        answer = yield
        if key is not None and answer is not None and key not in self.rows:
            self._remember(key, pick_scores(answer))
        return answer

    def _remember(self, key, scores):
        host = np.array(self.hook.to_device(data=scores, device=HOST))
        if str(host.dtype) in str(scores.dtype):  # half precision is upcast on its way, and told by its name
            self.rows[key] = host
            self.bytes += host.nbytes
        while self.bytes > self.max_bytes:
            self.bytes -= self.rows.popitem(last=False)[1].nbytes

    def _model_key(self, model, source, settings):
        state = hashlib.sha256()
        try:
            seen = model if isinstance(source, str | PathLike | tuple) else source
            pickle.Pickler(SimpleNamespace(write=state.update)).dump(seen)
            weights = self.hook.weight_digest(model=model)
        except Exception as error:  # a lambda, an open file, a lock
            weights = logger.info("the model's state cannot be seen: %s", error)
        return f"{weights} {state.hexdigest()} {settings}" if weights else logger.info("nothing is cached")

    def _key(self, model, inputs, batch_size):
        if model is not self.model or self.model_key is None or batch_size is None:
            return None
        host = list(leaves(self.hook.to_device(data=inputs, device=HOST)))
        plain = all(isinstance(leaf, np.ndarray) and not leaf.dtype.hasobject for leaf in host)
        # The columns of a table have names, and a masked array has a mask.
        if not plain or any(is_table(leaf) or np.ma.isMaskedArray(leaf) for leaf in leaves(inputs)):
            return None
        names = map_leaves(lambda leaf: (type(leaf).__qualname__, str(leaf.dtype), tuple(leaf.shape)), inputs)
        whole = digest((str(number), leaf) for number, leaf in enumerate(host))
        return f"{self.model_key} {batch_size} {names} {whole}"
