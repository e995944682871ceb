"""The memory of this process: how much is resident, and giving back what is free."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable

MB = 1024 * 1024
"""What "MB" means in every setting, log line and report of `tracespool.ops`."""

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def rss_bytes() -> int:
    """Bytes of this process that are resident. About 10 µs on Linux.

    Linux: the second field of `/proc/self/statm` (proc_pid_statm(5)). Elsewhere `getrusage`, which knows only the peak: a
    fall is not seen there. 0 where neither exists.
    """
    try:
        # Opened each time: the file stays bound to the process that opened it, and this one may have been forked.
        file = os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:
        return _peak()
    try:
        return int(os.read(file, 128).split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return _peak()
    finally:
        os.close(file)


def rss_mb() -> float:
    """`rss_bytes` in MB, to one decimal."""
    return round(rss_bytes() / MB, 1)


def _peak() -> int:
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # getrusage(2): bytes there, KiB elsewhere


_release: Callable[[], bool] | None = None


def trim() -> bool:
    """Asks the C allocator to give its free pages back to the system; whether it could be asked.

    glibc: `malloc_trim(0)`; macOS: `malloc_zone_pressure_relief`. Other allocators (musl) have no such call. Takes
    milliseconds for a heap of hundreds of MB, without the GIL.
    """
    global _release
    if _release is None:
        _release = _find_release()
    return _release()


def _find_release() -> Callable[[], bool]:
    try:
        import ctypes

        library = ctypes.CDLL(None)
        if sys.platform == "darwin":
            relief = library.malloc_zone_pressure_relief
            relief.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
            relief.restype = ctypes.c_size_t
            return lambda: relief(None, 0) >= 0
        malloc_trim = library.malloc_trim
        malloc_trim.argtypes = [ctypes.c_size_t]
        malloc_trim.restype = ctypes.c_int
        return lambda: malloc_trim(0) >= 0
    except (ImportError, OSError, AttributeError, TypeError):  # TypeError: Windows has no library without a name
        return lambda: False
