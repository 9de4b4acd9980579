"""Which addresses are sources, and which are none."""

from __future__ import annotations

from posewright.files.address import is_address, without_secrets

__all__ = ["NOT_LISTED", "PLAYLISTS", "is_address", "protocols", "without_secrets"]

NOT_LISTED = "it is a network address; open it by itself, not in a list of pictures"
PLAYLISTS = frozenset(".m3u8 .m3u .ffconcat .concat .sdp .mpd .pls .xspf .smil".split())

# What FFmpeg may speak for a network address: never "file", "concat", "subfile", "ftp" or "pipe".
_PROTOCOLS = "http,https,httpproxy,rtsp,rtsps,rtp,rtmp,rtmps,rtmpt,udp,tcp,tls"
_ENCRYPTED = "https,httpproxy,tcp,tls"  # a redirect from https to http is not followed


def protocols(address: str) -> str:
    """Return the protocols by which FFmpeg may read an address and those that it redirects to."""
    return _ENCRYPTED if address[:6].lower() == "https:" else _PROTOCOLS
