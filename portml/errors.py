"""One family of exceptions: whatever portml refuses, it refuses with a `PortmlError`.

Every message names the argument, what came, what was expected, and how to mend it.  Each class also derives from the
built-in exception that a caller would expect, so that ``except ValueError`` keeps working.
"""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "BackendUnavailableError",
    "CaptureError",
    "CheckpointError",
    "ConvergenceWarning",
    "DataConversionWarning",
    "DataError",
    "DivergenceError",
    "DtypeError",
    "GradientError",
    "MissingDependencyError",
    "MixedBackendsError",
    "NotFittedError",
    "OutOfMemoryError",
    "PortmlError",
    "RangeError",
    "ShapeError",
    "StaleOptimizerError",
    "UndefinedMetricWarning",
    "UnknownBackendError",
    "WriteError",
]


class PortmlError(Exception):
    """The root of the family: catch this to catch whatever portml refuses."""


class ArgumentError(PortmlError, ValueError):
    """An argument has a value that the function does not take."""


class ShapeError(ArgumentError):
    """An array has a shape that does not fit the other arguments."""


class RangeError(ArgumentError, IndexError):
    """An index, label or probability lies outside its range."""


class DtypeError(PortmlError, TypeError):
    """An array has a data type that the operation does not take."""


class MixedBackendsError(PortmlError, TypeError):
    """Arguments live on different backends or devices; `portml.backends.to` moves them."""


class UnknownBackendError(PortmlError, ValueError):
    """No backend of that name exists."""


class BackendUnavailableError(PortmlError, RuntimeError):
    """The backend exists, but its library or its device does not answer on this machine."""


class MissingDependencyError(PortmlError, ImportError):
    """An optional dependency is not installed; the message says which extra brings it."""


class OutOfMemoryError(PortmlError, MemoryError):
    """A device has not enough memory; the message says how much was asked for and how much there is."""


class GradientError(PortmlError, RuntimeError):
    """A derivative was asked for that cannot be given, or would be wrong."""


class CaptureError(PortmlError, RuntimeError):
    """A step cannot be recorded and replayed as it is written."""


class StaleOptimizerError(PortmlError, RuntimeError):
    """The parameters of an optimizer were moved or packed by another one after it was built."""


class DataError(PortmlError, ValueError):
    """A data set is empty, malformed or inconsistent."""


class DivergenceError(PortmlError, ArithmeticError):
    """Training left the numbers: the loss became NaN or infinite."""


class NotFittedError(PortmlError, ValueError, AttributeError):
    """An estimator was asked for what it learns before it was fitted."""


class CheckpointError(PortmlError, ValueError):
    """A checkpoint is truncated, foreign, or does not fit the model it is loaded into."""


class WriteError(PortmlError, OSError):
    """A file could not be written; what stood there before is untouched."""


class ConvergenceWarning(UserWarning):
    """A solver stopped before it reached the precision asked for."""


class DataConversionWarning(UserWarning):
    """Data was taken in another shape or type than it came in."""


class UndefinedMetricWarning(UserWarning):
    """A measure has no value for this data; the message says what stands in its place."""
