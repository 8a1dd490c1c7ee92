"""Loaded by every Python process whose PYTHONPATH holds this folder: moves what the process takes for the time of day.

``SOAK_CLOCK`` names a file with seconds; they are added to every ``datetime.now``. (libfaketime cannot be used: Python
sleeps until an absolute time of the monotonic clock, which it refuses.) The monotonic clock goes on as it was, as it
does when somebody sets a machine's clock.
"""

import datetime as _module
import os
from pathlib import Path

if "SOAK_CLOCK" in os.environ:
    _File = Path(os.environ["SOAK_CLOCK"])
    _Base = _module.datetime

    class _Kind(type(_Base)):
        """Every datetime is an instance of the one whose clock can be moved."""

        def __instancecheck__(cls, instance):
            return isinstance(instance, _Base)

    class datetime(_Base, metaclass=_Kind):
        """`datetime.datetime` on a clock that can be moved."""

        @classmethod
        def now(cls, tz=None):
            """Return the moved time."""
            return _Base.now(tz) + _module.timedelta(seconds=float(_File.read_text() or 0))

    _module.datetime = datetime
