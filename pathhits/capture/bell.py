"""Wakes the flusher. A signal handler may ring it whatever it interrupts, which it may not do with a `threading.Event`:
that holds a lock while it is set, and whoever rings in the middle of it waits for good.
"""

from __future__ import annotations

import queue


class Bell:
    """Rung by any thread, waited for by one."""

    def __init__(self) -> None:
        # By the module's name: what gevent put there, though it came after this was imported (gunicorn --preload).
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()
        #: Whether who waits for it is to end.
        self.over = False

    def ring(self) -> None:
        """Wake who waits, or who is going to wait next."""
        if self._rings.empty():
            self._rings.put(None)

    def end(self) -> None:
        """Have it `over`, and ring."""
        self.over = True
        self._rings.put(None)

    def wait(self, timeout: float) -> None:
        """Sleep until it rings, for ``timeout`` seconds at most."""
        try:
            self._rings.get(timeout=timeout)
            while True:
                self._rings.get_nowait()
        except queue.Empty:
            pass
