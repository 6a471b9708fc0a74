"""What an error of a database says: try again, nobody is there, or one of these rows cannot be stored."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

#: PostgreSQL: serialization failure, deadlock, lock not available.
_RETRY_SQLSTATES = {"40001", "40P01", "55P03"}
#: MariaDB: lock wait timeout, deadlock, record changed.
_RETRY_ERRNOS = {1205, 1213, 1020}
#: MariaDB: too many connections, shutting down, killed, disk or table full, read-only; 2000 to 2999: no connection.
_LOST_ERRNOS = {1040, 1053, 1927, 1021, 1114, 1290, 1836}
#: SQLite calls these operational too; they are answers.
_SQLITE_ANSWERS = ("no such ", "near ", "integer overflow", "too many ")
#: PostgreSQL: the transaction cannot write; no table, column or right, wrong statement. No row is to blame for these.
_UNABLE_SQLSTATES = ("25", "42")
#: MariaDB: access denied (to the database, a table, a column), no column, syntax, no table, not supported.
_UNABLE_ERRNOS = {1044, 1045, 1142, 1143, 1054, 1064, 1146, 1235}
_UNABLE_ANSWERS = ("no such ", "near ")


def is_retryable(error: BaseException) -> bool:
    """Whether the same transaction may succeed when tried again: a deadlock, a lock, a lost connection."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    original: Any = error.orig
    if getattr(original, "sqlstate", None) in _RETRY_SQLSTATES:
        return True
    arguments = getattr(original, "args", None) or ("",)
    return arguments[0] in _RETRY_ERRNOS or "database is locked" in str(arguments[0])


def is_lost(error: BaseException) -> bool:
    """Whether the database could not work at all, rather than refuse a statement."""
    if not isinstance(error, DBAPIError):
        return False
    original: Any = error.orig
    if error.connection_invalidated or not isinstance(error, OperationalError | InterfaceError):
        return error.connection_invalidated
    arguments = getattr(original, "args", None) or ("",)
    if isinstance(arguments[0], int):
        return 2000 <= arguments[0] < 3000 or arguments[0] in _LOST_ERRNOS
    return not str(arguments[0]).startswith(_SQLITE_ANSWERS)


def refuses_rows(error: BaseException) -> bool:
    """Whether the database refused what some row holds, so that the others may land without it."""
    if not isinstance(error, DBAPIError) or is_retryable(error) or is_lost(error):
        return False
    original: Any = error.orig
    if str(getattr(original, "sqlstate", None) or "").startswith(_UNABLE_SQLSTATES):
        return False
    reason = (getattr(original, "args", None) or ("",))[0]
    return reason not in _UNABLE_ERRNOS and not str(reason).startswith(_UNABLE_ANSWERS)
