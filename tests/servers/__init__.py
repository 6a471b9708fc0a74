"""Real servers that the tests start themselves, on free ports or sockets, in folders of their own."""

from __future__ import annotations
