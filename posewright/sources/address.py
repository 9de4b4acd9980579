"""Which addresses are sources, and which are none."""

from __future__ import annotations

from posewright.files.address import is_address, without_secrets

__all__ = ["NOT_LISTED", "PLAYLISTS", "is_address", "without_secrets"]

NOT_LISTED = "it is a network address; open it by itself, not in a list of pictures"
PLAYLISTS = frozenset(".m3u8 .m3u .ffconcat .concat .sdp .mpd .pls .xspf .smil".split())
