"""An image on a server: downloaded once, up to a size limit, and decoded like a local file."""

from __future__ import annotations

import io
import re
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from http.client import HTTPException, HTTPResponse
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit, urlunsplit

from posewright.errors import SourceError
from posewright.people import Frame
from posewright.sources.base import Frames
from posewright.sources.depth import Depths
from posewright.sources.guard import BadPicture, decode, picture_format
from posewright.sources.loads import Load, pictures
from posewright.sources.order import PICTURES
from posewright.weights.transport import Pace, WatchedHttp, WatchedHttps

__all__ = ["open_picture", "opener_of"]

MOST_BYTES = 256 << 20  # of an image: 8 bits of 100 million pixels fit, packed
LONGEST = 60.0  # seconds that an image may take; what takes longer is a stream
_CHUNK = 1 << 16
_NEXT = b"\xff\xd9\xff\xd8"  # the end of a JPEG and the begin of another: a film


def open_picture(
    url: str, name: str, max_pixels: int, timeout: float, stopped: Callable[[], int]
) -> Frames | None:
    """Return the source of the one image at an http address; None where there is none.

    The content type (image/...) or the first bytes tell that it is one.  name: the address without
    secrets.  timeout: seconds to wait for an answer with its headers, and for the next data.
    SourceError for more than 256 MB.
    """
    try:
        opener = opener_of(url, Pace(timeout, 0, LONGEST))
        parts = urlsplit(url)  # user and password are not sent
        plain = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
        agent = {"User-Agent": "posewright"}
        request = urllib.request.Request(urlunsplit(plain), headers=agent)
        with opener.open(request, timeout=timeout) as response:
            response.watched.begin()
            suffix = PurePosixPath(urlsplit(url).path).suffix.lower()
            found = _body(response, name, suffix, stopped)
    except (OSError, HTTPException, ValueError):  # the caller tells its own reason
        return None
    if found is None:
        return None
    data, broken = found
    sequence = re.split(r"[?#]", name)[0].rpartition("/")[0]

    def read(depths: Depths) -> Frame:
        try:
            if broken:
                raise BadPicture(broken)
            image, more = decode(io.BytesIO(data), max_pixels, sequence, depths)
        except BadPicture as error:
            return Frame.failed(name, str(error), sequence=sequence)
        return Frame(image, name=name, note=more, sequence=sequence)

    return pictures(name, [Load(read, sequence)], 1, ExitStack())


def _body(
    response: HTTPResponse, name: str, suffix: str, stopped: Callable[[], int]
) -> tuple[bytes, str] | None:
    """Return an image, and one line where the transfer broke; None for what is not one image."""
    kind = response.headers.get_content_type()
    sure = kind.startswith("image/") or suffix in PICTURES
    if kind.startswith(("multipart/", "video/")) or (suffix in (".mjpg", ".mjpeg") and not sure):
        return None
    data = bytearray()
    length = response.length or 0  # 0 where the server does not say
    if sure and length > MOST_BYTES:
        raise SourceError(f"{name} has {length} bytes, more than the {MOST_BYTES} of an image")
    broke = False
    while not broke:
        try:
            chunk = response.read1(_CHUNK)
        except TimeoutError:  # a server that is slow, as one of a film
            raise
        except (OSError, HTTPException):
            chunk, broke = b"", True
        if not chunk:
            break
        data += chunk
        if len(data) >= 16 and not picture_format(bytes(data[:16])):
            return None
        if len(data) > MOST_BYTES or stopped():
            return None
        if not sure and _NEXT in data[-_CHUNK - 4 :]:
            return None
    begun = picture_format(bytes(data[:16])) is not None
    if (broke or len(data) < length) and (sure or begun):
        of = f" of {length}" if length else ""
        return bytes(data), f"the connection broke after {len(data)}{of} bytes; try again"
    return (bytes(data), "") if begun else None


def opener_of(url: str, pace: Pace) -> urllib.request.OpenerDirector:
    """Return what opens http and https alone, also behind redirects, as FFmpeg does for videos.

    User and password are told to the address's own host only, where that asks for them.
    """
    parts = urlsplit(url)
    known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        known.add_password(
            None, f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/", user, password
        )
    opener = urllib.request.OpenerDirector()
    if parts.scheme.lower() == "http":  # a redirect from https to http is not followed
        opener.add_handler(WatchedHttp(pace))
    for handler in (
        urllib.request.ProxyHandler(),
        WatchedHttps(pace),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPBasicAuthHandler(known),
        urllib.request.HTTPDigestAuthHandler(known),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
