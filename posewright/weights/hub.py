"""What a hub of models states of a file before it is fetched: its SHA-256, size and commit.

A hub serves the file of a repository at OWNER/NAME/resolve/REVISION/FILE.  A HEAD request for that
address is answered with X-Linked-Etag (the SHA-256 of a large file), X-Linked-Size and
X-Repo-Commit, mostly with a redirect to where the bytes are, which is not followed.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from posewright.weights.receipt import HubFile
from posewright.weights.transport import Pace, ask_headers

__all__ = ["at_commit", "hub_file", "stated_file"]

_ADDRESS = re.compile(
    r"(?P<before>(?:.*?/)?(?P<repository>(?:(?:datasets|spaces)/)?[^/]+/[^/]+)/resolve/)"
    r"(?P<revision>[^/]+)/(?P<file>.+)"
)
_COMMIT = re.compile("[0-9a-f]{40}")
_HEADERS = {"User-Agent": "posewright", "Accept-Encoding": "identity"}


def hub_file(url: str) -> HubFile | None:
    """Return repository, commit and file of a hub's address; None for any other address.

    commit: "" where the address names a branch.
    """
    found = _ADDRESS.fullmatch(urlsplit(url).path)
    if found is None:
        return None
    commit = found["revision"] if _COMMIT.fullmatch(found["revision"]) else ""
    return HubFile(found["repository"].lstrip("/"), commit, unquote(found["file"]))


def at_commit(url: str, commit: str) -> str:
    """Return the address of the same file at a commit; "" leaves the address as it is."""
    parts = urlsplit(url)
    found = _ADDRESS.fullmatch(parts.path)
    if found is None or not commit:
        return url
    path = f"{found['before']}{quote(commit)}/{found['file']}"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def stated_file(url: str, pace: Pace, allow_http: bool) -> HubFile | None:
    """Return what a hub states of the file at an address; None where it states no SHA-256.

    Errors: those of `ask_headers`.
    """
    asked = hub_file(url)
    if asked is None:
        return None
    headers = ask_headers(url, _HEADERS, pace, allow_http)
    sha = headers.get("X-Linked-Etag", "").strip().removeprefix("W/").strip('"').lower()
    size, commit = (headers.get(f"X-{name}", "").strip() for name in ("Linked-Size", "Repo-Commit"))
    if not re.fullmatch("[0-9a-f]{64}", sha):  # that of a small file is not its SHA-256
        return None
    if not asked.commit and not _COMMIT.fullmatch(commit):
        return None  # the branch may move before the file is fetched
    number = int(size) if re.fullmatch("[0-9]{1,15}", size) else 0
    return HubFile(asked.repository, asked.commit or commit, asked.file, sha, number)
