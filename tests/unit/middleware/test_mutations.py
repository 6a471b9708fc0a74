# ruff: noqa: E501  # a mutation is read as a line
"""The proof of the proof: small mistakes put into the middleware are each caught by the tables of responses."""

from __future__ import annotations

import pytest

from tests.unit.middleware import asgi_cases, wsgi_cases
from tests.unit.middleware.harness import asgi_class, caught_by, flask_class, mutant, wsgi_class

#: What goes wrong, the line as it is, the line as it would be.
WSGI = [
    ("drops exc_info", "write = start_response(*args, **named) if named else start_response(*args)", "write = start_response(*args[:2])"),
    ("adds a header", "write = start_response(*args, **named) if named else start_response(*args)", 'args[1].append(("X-Counted", "1"))\n            write = start_response(*args, **named)'),
    ("changes the status", "write = start_response(*args, **named) if named else start_response(*args)", 'write = start_response("200 OK", *args[1:], **named)'),
    ("starts twice", "write = start_response(*args, **named) if named else start_response(*args)", "start_response(*args, **named)\n            write = start_response(*args, **named)"),
    ("returns no write()", "return partial(_written, exchange, write)", "return None"),
    ("drops what is written", "return write(data)", "return None"),
    ("swallows the error of a write", "exchange.gone = exchange.gone or is_disconnect(error)\n        raise", "exchange.gone = True"),
    ("wraps lists", "return kind in _UNFAILING", "return False"),
    ("wraps files", " or (\n        \"wsgi.file_wrapper\" in environ and _is_file(body, environ[\"wsgi.file_wrapper\"])\n    )", ""),
    ("loses the length", "return _SizedBody(", "return _Body("),
    ("hides the app's error", "            record(exchange)\n            raise\n", "            record(exchange)\n            return []\n"),
    ("collects the stream", "return self._watch(iter(self._body))", "return iter(list(self._watch(iter(self._body))))"),
    ("asks for an iterator twice", "return self._watch(iter(self._body))", "return self._watch(iter(iter(self._body)))"),
    ("hides an error mid-stream", "                self._finish(True)\n                raise\n            yield", "                self._finish(True)\n                return\n            yield"),
    ("changes an error mid-stream", "                self._finish(True)\n                raise\n            yield", "                self._finish(True)\n                raise RuntimeError\n            yield"),
    ("eats empty pieces", "            yield piece\n", "            if piece:\n                yield piece\n"),
    ("doubles the pieces", "            yield piece\n", "            yield piece\n            yield piece\n"),
    ("copies the pieces", "            yield piece\n", "            yield bytearray(piece)\n"),
    ("forgets close", "result = close() if close is not None else None", "result = None"),
    ("closes twice", "result = close() if close is not None else None", "result = close() or close() if close else None"),
    ("closes at the end by itself", "                self._ended()\n                return\n", "                self._ended()\n                self.close()\n                return\n"),
    ("hides an error of close", "        except BaseException:\n            self._finish(True)\n            raise\n        if self._exchange", "        except BaseException:\n            return self._finish(True)\n        if self._exchange"),
    ("reads headers that can be read once", "if type(headers) is not list and iter(headers) is headers:", "if headers is None:"),
    ("lets its own bug through", "        except Exception as error:\n            recorder.broken(error)\n            inner = start_response\n", "        except LookupError:\n            inner = start_response\n"),
    ("counts what failed", "exchange.failed = failed and not exchange.gone", "exchange.failed = False"),
    ("drops what a client left", "            self._finish()\n        return result", "            self._finish(True)\n        return result"),
    ("counts twice", "        exchange, self._exchange = self._exchange, None\n", "        exchange = self._exchange\n"),
    ("trusts every closing iterator", "        return type(piece) is bytes and", "        return True or"),
    ("forgets what is never closed", "    def __del__(self)", "    def forget(self)"),
]  # fmt: skip

FLASK = [
    ("drops exc_info", "write = start_response(status, headers, *more) if more else", "write ="),
    ("adds a header", "write = start_response(status, headers, *more) if more else", 'headers.append(("X-Counted", "1"))\n            write = start_response(status, headers, *more) if more else'),
    ("returns no write()", "return write", "return None"),
    ("hides the app's error", "            record(exchange)\n            raise\n", "            record(exchange)\n            return []\n"),
    ("counts what failed", "exchange.failed = True", "exchange.failed = False"),
    ("takes each status for a success", "if status != \"200 OK\" or name", "if name"),
    ("takes each header for the type of the content", " or name != \"Content-Type\":", ":"),
    ("trusts every body", "if not is_whole(body):", "if False:"),
    ("lets its own bug through", "        except Exception as error:\n            recorder.broken(error)\n", "        except LookupError as error:\n            recorder.broken(error)\n"),
    ("does not see another middleware", " or ENVIRON_KEY in environ", ""),
    ("lets a bug of the route through", "            except Exception:\n                unusual", "            except TypeError:\n                unusual"),
]  # fmt: skip

ASGI = [
    ("changes what was received", "            return message\n\n        async def sent", '            return {**message, "seen": True}\n\n        async def sent'),
    ("adds a header", "                result = await send(message)", '                result = await send({**message, "headers": [(b"x-counted", b"1")]})'),
    ("eats the last message", "                result = await send(message)", "                result = None if last else await send(message)"),
    ("eats messages it does not know", "                result = await send(message)", '                result = await send(message) if "response" in message["type"] else None'),
    ("sends twice", "                result = await send(message)", "                await send(message)\n                result = await send(message)"),
    ("returns nothing", "            return result\n\n        failed = True", "            return None\n\n        failed = True"),
    ("hides the error of a send", "exchange.gone = exchange.gone or is_disconnect(error)\n                raise", "exchange.gone = True\n                return None"),
    ("hides the app's error", "        except (Exception, KeyboardInterrupt, SystemExit):\n            raise\n", "        except (Exception, KeyboardInterrupt, SystemExit):\n            return None\n"),
    ("hides that it was cancelled", "            failed = False\n            raise\n", "            return None\n"),
    ("reads headers that can be read once", "iter(headers) is headers:\n        # It can", "headers is None:\n        # It can"),
    ("takes each message for a mapping", "            except Exception:\n                # An app that", "            except LookupError:\n                # An app that"),
    ("lets its own bug through", "        except Exception as error:\n            recorder.broken(error)\n            exchange = None\n", "        except LookupError:\n            exchange = None\n"),
    ("keeps the end of the lifespan", "        return await send(message)\n\n    return sent", "        return None\n\n    return sent"),
    ("counts websockets", 'if scope["type"] != "http":', 'if scope["type"] not in ("http", "websocket"):'),
    ("takes every failed send for a client's leaving", "exchange.gone or is_disconnect(error)", "True"),
    ("does not see that the client left", "                exchange.gone = True\n            return message", "                pass\n            return message"),
    ("counts what failed", "exchange.failed = failed and not exchange.gone", "exchange.failed = False"),
    ("counts at the first piece", 'and not message.get("more_body")', ""),
    ("counts twice", "            if not complete:\n                exchange.failed", "            if True:\n                exchange.failed"),
    ("waits for background tasks", "last = kind in _LAST and", "last = False and"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "old", "new"), WSGI, ids=[mistake[0] for mistake in WSGI])
def test_a_mistake_in_the_wsgi_middleware_is_caught(what: str, old: str, new: str) -> None:
    wrap = wsgi_class(mutant("wsgi", old, new))

    caught = caught_by(wsgi_cases.CASES, wrap)

    assert caught, f"nothing was different when it {what}"
    print(f"{what}: {caught[:200]}")


@pytest.mark.parametrize(("what", "old", "new"), FLASK, ids=[mistake[0] for mistake in FLASK])
def test_a_mistake_in_the_middleware_for_flask_is_caught(what: str, old: str, new: str) -> None:
    wrap = flask_class(mutant("flask", old, new))

    caught = caught_by(wsgi_cases.FLASK, wrap)

    assert caught, f"nothing was different when it {what}"
    print(f"{what}: {caught[:200]}")


@pytest.mark.parametrize(("what", "old", "new"), ASGI, ids=[mistake[0] for mistake in ASGI])
def test_a_mistake_in_the_asgi_middleware_is_caught(what: str, old: str, new: str) -> None:
    wrap = asgi_class(mutant("asgi", old, new))

    caught = caught_by(asgi_cases.CASES, wrap)

    assert caught, f"nothing was different when it {what}"
    print(f"{what}: {caught[:200]}")


def test_without_a_mistake_nothing_is_caught() -> None:
    wsgi, flask, asgi = (
        mutant("wsgi", "def count_wsgi(", "def count_wsgi("),
        mutant("flask", "def count_flask(", "def count_flask("),
        mutant("asgi", "kind in _LAST", "kind in _LAST"),
    )

    assert caught_by(wsgi_cases.CASES, wsgi_class(wsgi)) == ""
    assert caught_by(wsgi_cases.FLASK, flask_class(flask)) == ""
    assert caught_by(asgi_cases.CASES, asgi_class(asgi)) == ""


def test_a_mutation_whose_line_has_changed_is_no_proof() -> None:
    with pytest.raises(AssertionError, match="write this mutation anew"):
        mutant("wsgi", "a line that is not there", "")
    with pytest.raises(AssertionError, match="times"):
        mutant("wsgi", "exchange", "")
