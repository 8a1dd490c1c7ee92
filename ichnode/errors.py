"""One exception tree; its main axis is transient (try again) against permanent (a person has to change something)."""

from __future__ import annotations


class IchnodeError(Exception):
    """Base of every error that ichnode raises on purpose.

    Parameters
    ----------
    sentence : str
        One sentence a person can act on. Never a patient's name, identifier or birth date.
    code : str, optional
        Stable upper-case code, for rows and metrics.
    """

    code = "ERROR"

    def __init__(self, sentence: str, code: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        if code is not None:
            self.code = code


class TransientError(IchnodeError):
    """The same act may succeed later without anybody changing anything."""

    code = "TRANSIENT"


class PermanentError(IchnodeError):
    """The same act will fail again until somebody changes something."""

    code = "PERMANENT"


class ConfigError(PermanentError):
    """A setting is unknown, mistyped or contradictory."""

    code = "CONFIG"


class BadObject(PermanentError):
    """A DICOM object cannot be used: unreadable, inconsistent, or its pixels do not decode."""

    code = "BAD_OBJECT"


class FileRemoved(BadObject):
    """A file of the spool went with its purged series in the very moment at which the same content came again."""

    code = "FILE_REMOVED"


class DiskFull(TransientError):
    """The spool's disk is below its watermark."""

    code = "DISK_FULL"


class WorkerLost(TransientError):
    """The worker of the pool that had the series ended, or is out of reach; another one may take it at once."""

    code = "POOL_WORKER_LOST"


class Interrupted(TransientError):
    """The attempt was cut short by what is no fault of the series, and does not count."""

    code = "INTERRUPTED"


class PeerUnreachable(TransientError):
    """A DICOM peer does not answer, or ended the association."""

    code = "PEER_UNREACHABLE"


class PeerBusy(PeerUnreachable):
    """A DICOM peer says that it cannot now.

    Parameters
    ----------
    again_in_s : float
        Seconds for which it asks not to be called; 0 where it does not say.
    """

    code = "PEER_BUSY"

    def __init__(self, sentence: str, again_in_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.again_in_s = again_in_s


class PeerRefused(PermanentError):
    """A DICOM peer refused for a reason that will not pass by itself."""

    code = "PEER_REFUSED"


class BundleError(PermanentError):
    """A model bundle is missing, altered or not of a kind this version can run."""

    code = "BUNDLE"
