"""Steps recorded once and replayed: what passes the doorway, turned into a flat list of calls on planned memory."""

from __future__ import annotations

from portml.recording.capture import Capture, capture

__all__ = ["Capture", "capture"]
