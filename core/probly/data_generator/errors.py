"""The errors that are ours; whatever a user's model or dataset raises passes through unchanged, with a note."""


class BackendError(Exception):
    """Base of the four ways in which choosing a backend can fail."""


class UnknownBackendError(BackendError, ValueError):
    """No installed backend (or wrapper) and no extra of ours has this name."""


class BackendNotInstalledError(BackendError, ImportError):
    """The name is known, but the distribution that provides it is not installed."""


class BrokenBackendError(BackendError, ImportError):
    """The backend or wrapper is installed, but cannot be imported or breaks the hook contract; see ``__cause__``."""


class AmbiguousBackendError(BackendError, ValueError):
    """Two distributions claim the name of a backend or wrapper, or two backends claim the model."""


class NotInstalledError(ImportError):
    """A format or a tool that has a distribution of its own is not installed; the message says what to install."""


class InvalidOutputError(ValueError):
    """A model returned something that is not one class distribution per input."""


class AlignmentError(ValueError):
    """Rows cannot be assigned to dataset indices with certainty."""


class StoreError(ValueError):
    """A file of distributions is damaged or is not one."""


class WorkerError(RuntimeError):
    """The workers of a shared run die, or cannot be started."""
