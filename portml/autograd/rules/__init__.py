"""Rules of differentiation: one table, a topic a file; importing this package enters them all."""

from __future__ import annotations

import importlib
import pkgutil

for _topic in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_topic.name)
