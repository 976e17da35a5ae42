"""What passes the doorway, written down: to replay a step on planned memory, or to see where its time goes."""

from __future__ import annotations

from portml.recording.capture import Capture, capture
from portml.recording.profile import Profile, profile

__all__ = ["Capture", "Profile", "capture", "profile"]
