"""The one kind of failure a person can act on."""

from __future__ import annotations


class WindtunnelError(Exception):
    """Something the user can mend: the message says what was wrong, where, and what to do.

    The command line prints the message as one line and leaves with `exit_code`; it never prints
    a traceback for this class. Anything else that escapes is a bug of ours.
    """

    exit_code = 2


class NegativeVerdictError(WindtunnelError):
    """What was tried has failed, and no input was wrong: exit code 3."""

    exit_code = 3


class CannotSayError(WindtunnelError):
    """There is not enough to go on yet, and no input was wrong: exit code 4."""

    exit_code = 4
