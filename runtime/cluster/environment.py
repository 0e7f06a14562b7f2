"""What Ray must be told by environment variables, before it starts, on every machine."""

from __future__ import annotations

ENVIRONMENT = {
    # Six times the images a second of Ray's own proxy, and the two below.
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    # An ingress replica that dies loses nothing either: what it has not begun to answer, HAProxy asks another. Every
    # request may be asked twice.
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response junk-response",
    # Requests up to this size can be asked again: a z, an edit or a mix as numbers, not 64 of them.
    "RAY_SERVE_HAPROXY_TUNE_BUFSIZE": "65536",
    # Three looks, one a second: requests that were on a machine that is gone wait 4 s rather than 15.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
    # Ray would tell its makers that it runs.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Threads that wait must not spin: replicas share cores.
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""Of every node, before `ray start`."""
ALONE = {
    # Nobody outside must notice that a machine ends: 30 s are for load balancers.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
}
"""Beside them, of one machine alone."""
