"""An answer that is asked for while a page asks for its others: of two long lists a page waits for the longer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """What ``ask`` returns or raises, when it is called for; ``aside``: a thread of its own asks from now on.

    The ``with`` block waits for that thread whatever happens: nothing of a page goes on when the page is done.
    """

    def __init__(self, ask: Callable[[], T], *, aside: bool) -> None:
        self._ask = ask
        self._answers: list[T] = []
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="pathhits-ahead", daemon=True) if aside else None
        if self._thread is not None:
            self._thread.start()

    def __enter__(self) -> Ahead[T]:
        return self

    def __exit__(self, *error: object) -> None:
        if self._thread is not None:
            self._thread.join()

    def __call__(self) -> T:
        """The answer, once it is there."""
        if self._thread is None:
            return self._ask()
        self._thread.join()
        for error in self._errors:
            raise error
        return self._answers[0]

    def _run(self) -> None:
        try:
            self._answers.append(self._ask())
        except BaseException as error:  # whatever it is, it is the page's
            self._errors.append(error)
