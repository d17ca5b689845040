"""What the package raises: each error says what happened, and what the reader can do about it."""

from __future__ import annotations


class EmbeddedServerError(Exception):
    """There is no server, or none any more: the message and the remedy, which may be empty."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


class ConfigurationError(EmbeddedServerError):
    """Arguments or environment are wrong: nothing was started."""

    exit_code = 2
