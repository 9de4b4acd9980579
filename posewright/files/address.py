"""Network addresses without passwords, tokens and keys, so that they can be shown and saved."""

from __future__ import annotations

import re
from urllib.parse import unquote

__all__ = ["is_address", "masked", "without_secrets"]

# Names of parameters that hold a secret, or half of one, as cameras and clouds write them.
_PART = (
    "pass|pwd|psw|loginpas|user|usr|login|secret|token|key|sig|auth|cred|sess|jwt|hash|hmac|hdn|"
    "ticket|nonce|policy|access|account"
)
_WHOLE = "u|p|pw|k|s|sid|uid|pin|otp|code"
_NAME = re.compile(rf".*(?:{_PART}).*|_?(?:{_WHOLE})", re.IGNORECASE | re.DOTALL)
# "user=admin_password=secret_channel=1" stands in the path of some cameras' addresses.
_IN_PATH = re.compile(r"([^/=;&,]*)=((?:(?![_&;,][A-Za-z]+=)[^/])*)")
# In a text an address ends at a space, without the quotes and stops behind it.  Python's Path makes
# one slash of two.
_IN_TEXT = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]{1,20}://|(?:https?|rtsps?|rtmp[a-z]?|rtp|s?ftps?|wss?|udp|tcp|srt|mms):/)"
    r"\S*[^\s'\"`),;:.]",
    re.IGNORECASE,
)
_NEXT = re.compile(r"(?<=[,;|])(?=[A-Za-z][A-Za-z0-9+.-]{1,20}://)")  # of a list without spaces
_LONGEST = 4000


def is_address(name: str) -> bool:
    """Tell whether a text is a network address and not a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name) is not None


def without_secrets(address: str) -> str:
    """Return a network address with *** for its secrets; anything else as it is.

    Masked are the user and the password in front of the host, and the values of parameters whose
    name or appearance says that they are secret.
    """
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/+", address)
    if scheme is None:
        return address
    rest = address[scheme.end() :]
    user, rest = _split_user(rest)
    path, mark, query = re.fullmatch(r"([^?#]*)([?#]?)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    path = _IN_PATH.sub(lambda pair: _pair(pair[1], pair[2]), path)
    pieces = re.split(r"([&;#?])", query)
    shown = [_piece(piece) for piece in pieces]
    return scheme[0] + ("***@" if user else "") + path + mark + "".join(shown)


def masked(text: str) -> str:
    """Return a text, such as a message or a command, with *** for the secrets of its addresses."""
    return _IN_TEXT.sub(lambda found: _found(found[0]), text)


def _found(address: str) -> str:
    if len(address) > _LONGEST:  # nobody reads it, and the patterns take the square of its length
        return f"{address.partition(':')[0]}://***"
    return "".join(map(without_secrets, _NEXT.split(address)))


def _split_user(rest: str) -> tuple[str, str]:
    """Split "user:password@" off; a password may hold an "@" or, against the rules, a "/"."""
    host = re.match(r"[^/?#]*", rest)
    end = host[0].rfind("@") if host else -1
    if end < 0 and re.match(r"[^/?#@:]*:(?!\d*(?:[/?#]|$))", rest):
        end = rest.rfind("@")
    return rest[: end + 1], rest[end + 1 :]


def _piece(piece: str) -> str:
    name, equals, value = piece.partition("=")
    if equals:
        return _pair(name, value)
    return "***" if _looks_secret(piece) else piece


def _pair(name: str, value: str) -> str:
    secret = value and (_NAME.fullmatch(unquote(name)) or _looks_secret(unquote(value)))
    return f"{name}={'***' if secret else value}"


def _looks_secret(value: str) -> bool:
    """Tell a token from a word or number by its length and mixture."""
    mixed = re.search(r"\d", value) and re.search(r"[A-Za-z]", value)
    return len(value) >= 32 or bool(len(value) >= 20 and mixed)
