"""How long hypothesis looks: shortly by default, ``HYPOTHESIS_PROFILE=long`` for tens of thousands of histories."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile("short", max_examples=250, deadline=None, suppress_health_check=_SLOW, derandomize=True)
settings.register_profile("long", max_examples=20_000, deadline=None, suppress_health_check=_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))
