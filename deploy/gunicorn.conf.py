"""gunicorn with workers that are replaced before they die: by requests, and by memory (`deploy/backend/service.py`).

    gunicorn --config deploy/gunicorn.conf.py --chdir deploy/backend service:app
"""

import os

from tracespool.integrations.gunicorn import post_fork, worker_exit  # noqa: F401: hooks, by their names

bind = os.environ.get("BIND", "0.0.0.0:8000")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
# gunicorn's own for ASGI; `gthread` with `threads = 8` for WSGI.
worker_class = "asgi"

# Imported once, before the workers are forked: they share what does not change, and a worker is replaced in milliseconds.
preload_app = True
control_socket_disable = True

# What leaks slowly is thrown away with its worker. The jitter keeps workers from going all at once.
max_requests = int(os.environ.get("MAX_REQUESTS", "5000"))
max_requests_jitter = max_requests // 10

# A worker that ends has so long for the requests under way; at most half of it is used to send what was traced. Orchestrators
# have to wait longer before they kill (`stop_grace_period` in compose.yaml, `terminationGracePeriodSeconds`).
graceful_timeout = 30
# A worker that gives no sign of life for so long is killed. Heartbeats are files: not on a disk that may stall.
timeout = 60
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None
keepalive = 5

loglevel = os.environ.get("LOG_LEVEL", "info")
accesslog = None
