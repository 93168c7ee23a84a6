"""How commands and stages end: well, refused, killed, told to, or refused by the disk."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from enum import IntEnum

from medgraft.construct import LONGEST, shortened


class Exit(IntEnum):
    """Exit codes of every command and stage; docs/commands.md tells users of them.

    Whatever ends with none of them is a fault of ours, and shows a traceback (Python's code 1).
    """

    DONE = 0
    TO_DO = 1
    """`doctor` found something to be done."""
    REFUSED = 2
    """The message says what the user can put right; argparse and DVC use the same code."""
    TRY_AGAIN = 75
    """Told to end, with all that was done saved (EX_TEMPFAIL of sysexits.h): start me again."""
    STOPPED = 128 + signal.SIGINT
    """Ctrl-C; what a shell gives, too."""
    UNREAD = 128 + signal.SIGPIPE
    """Whoever read the output has closed it, as `| head` does (SIGPIPE)."""


# Full, read-only, not ours, or a file where a folder has to be and the other way round. As the
# system words them: what writes in C or Rust raises no OSError. The last is pathlib's own.
DISK = (
    *map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)),
    *map(os.strerror, (errno.EIO, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG)),
    os.strerror(errno.ELOOP),
    "Symlink loop",
)


def disk_refuses(error: Exception) -> str:
    """One line about a disk that cannot be written as asked; empty where that is not the cause.

    What is on the disk is whole: files are written aside and renamed.
    """
    first = str(error).partition("\n")[0]
    if not any(words in first for words in DISK):
        return ""
    if os.strerror(errno.ENAMETOOLONG) in first:
        path = getattr(error, "filename", None)
        told = f": {shortened(str(path), LONGEST)}" if path else ""
        return f"the path is too long for this file system{told}"
    return f"the disk refuses: {first}; once that is put right, the same command goes on"


def end_when_told(name: str) -> None:
    """End at once on SIGTERM, and say so; while it trains, a stage saves its state first.

    Nothing is unwound, as if it had been killed: whatever is half-written lies aside.
    """

    def end(*_: object) -> None:
        sys.stderr.write(f"{name}: ended by SIGTERM; the same command goes on\n")
        sys.stderr.flush()
        os._exit(Exit.TRY_AGAIN)

    signal.signal(signal.SIGTERM, end)


def end_with_parent() -> None:
    """End as soon as DVC has: what it left behind would write beside its successor."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(Exit.TRY_AGAIN)
