"""What can go wrong with the embedded model's process.

EmbeddedModelError
├── EmbeddedModelUnavailable      a package or a weights file is missing, or the model could not be loaded
├── EmbeddedModelStartTimeout     the process was not ready in time
├── EmbeddedModelCrashed          the process ended before it was ready, or does not answer
│   └── EmbeddedModelBackingOff   it crashed repeatedly and is not started again yet
└── EmbeddedModelClosed           `close()` was called
"""

from __future__ import annotations


class EmbeddedModelError(Exception):
    """Base of the errors of the embedded model's process."""


class EmbeddedModelUnavailable(EmbeddedModelError):  # noqa: N818 - the name tells the state of the process
    """The model cannot run on this machine; the message names what to install or correct."""


class EmbeddedModelStartTimeout(EmbeddedModelError):  # noqa: N818 - the name tells the state of the process
    """The process was not ready within the configured time and was ended."""


class EmbeddedModelCrashed(EmbeddedModelError):  # noqa: N818 - the name tells the state of the process
    """The process ended by itself or does not answer; the next use starts it again."""


class EmbeddedModelBackingOff(EmbeddedModelCrashed):
    """The process crashed several times in a row and is not started again yet.

    Attributes:
        retry_after_s: Seconds after which the next use starts the process again.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        """Keep the delay beside the message."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EmbeddedModelClosed(EmbeddedModelError):  # noqa: N818 - the name tells the state of the process
    """The supervisor was closed; it does not start the process again."""
