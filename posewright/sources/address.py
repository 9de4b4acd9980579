"""Which network addresses are valid sources."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from posewright.errors import UsageError, nearest
from posewright.files.address import is_address, without_secrets

__all__ = ["NOT_LISTED", "PLAYLISTS", "is_address", "is_stream", "protocols", "without_secrets"]

NOT_LISTED = "it is a network address; open it by itself, not in a list of images"
PLAYLISTS = frozenset(".m3u8 .m3u .ffconcat .concat .sdp .mpd .pls .xspf .smil".split())

STREAMS = ("rtsp", "rtsps", "http", "https", "rtmp", "udp")
# Addresses that FFmpeg would follow and that have no place here.
COMMANDS = (
    "async bluray cache concat concatf crypto data fd file ftp gopher gophers hls ipfs ipns md5 "
    "mmsh mmst pipe prompeg rtp sctp sdp sftp smb srt srtp subfile tcp tee tls unix zmq"
).split()

# What FFmpeg may speak for a network address: never "file", "concat", "subfile", "ftp" or "pipe".
_PROTOCOLS = "http,https,httpproxy,rtsp,rtsps,rtp,rtmp,rtmps,rtmpt,udp,tcp,tls"
_ENCRYPTED = "https,httpproxy,tcp,tls"  # a redirect from https to http is not followed


def protocols(address: str) -> str:
    """Return the protocols by which FFmpeg may read an address and those that it redirects to."""
    return _ENCRYPTED if address[:6].lower() == "https:" else _PROTOCOLS


def is_stream(name: str) -> bool:
    """Tell whether a name is an address to read and not a path, which may hold a colon.

    UsageError for an address of any other kind.
    """
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)(://|:)", name)
    if not found or os.path.exists(name):
        return False
    scheme, mark = found[1].lower(), found[2]
    if scheme in STREAMS and mark == "://":
        try:
            urlsplit(name)
        except ValueError as error:  # brackets that are no IPv6 address
            raise UsageError(f"{without_secrets(name)}: it is not a valid address") from error
        return True
    if scheme in STREAMS and re.match(r"[^:]*:/", name):
        raise UsageError(f"an address begins with {scheme}://; write both slashes")
    if mark == "://" or scheme in (*COMMANDS, "camera"):
        raise UsageError(
            f"{scheme}: is not a supported protocol{nearest(scheme, STREAMS)}; use "
            f"{', '.join(STREAMS)}, "
            f"camera:NUMBER, or the path itself for a file"
        )
    return False
