"""A worker of Celery: acknowledges late, keeps no results, keeps its connections.

Each process or thread has a connection to Postgres of its own, greenlets share a pool; statements are prepared, and each
is a commit of its own in one round trip.
"""

import contextlib
import threading

import psycopg
import requests
from celery import Celery
from kombu import Exchange, Queue
from psycopg_pool import ConnectionPool

import receipts

QUEUE = receipts.CONFIG["queue"]
IS_GEVENT = receipts.CONFIG["pool"] == "gevent"

app = Celery("bench", broker=receipts.CONFIG["amqp_url"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
    task_create_missing_queues=False,
    task_default_queue=QUEUE,
    task_ignore_result=True,
    task_queues=[Queue(QUEUE, Exchange(""), routing_key=QUEUE, queue_arguments={"x-queue-type": "quorum"})],
    worker_enable_remote_control=False,
    worker_prefetch_multiplier=16,
    worker_send_task_events=False,
)


def _connect():
    return psycopg.connect(
        receipts.CONFIG["database_url"], autocommit=True, prepare_threshold=0, cursor_factory=psycopg.RawCursor
    )


def _session():
    session = requests.Session()
    # Else each call looks for a proxy and for a password.
    session.trust_env = False
    adapter = requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=100)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    if receipts.URL.startswith("https:"):
        session.verify = receipts.CA
        session.cert = receipts.CLIENT
    return session


class _Own(threading.local):
    """What a process, or a thread of it, has for itself. Made when it is first used, after the fork."""

    def __init__(self):
        self.connection = _connect()
        self.session = _session()


_own = None
_shared = None
_lock = threading.Lock()


@contextlib.contextmanager
def _hands():
    global _own, _shared
    if IS_GEVENT:
        if _shared is None:
            with _lock:
                if _shared is None:
                    pool = ConnectionPool(
                        receipts.CONFIG["database_url"],
                        min_size=4,
                        max_size=32,
                        kwargs={
                            "autocommit": True,
                            "prepare_threshold": 0,
                            "cursor_factory": psycopg.RawCursor,
                        },
                        open=True,
                    )
                    _shared = (pool, _session())
        yield _shared
    else:
        if _own is None:
            with _lock:
                if _own is None:
                    _own = _Own()
        yield _own.connection, _own.session


def _write(database, statement, parameters):
    if IS_GEVENT:
        with database.connection() as connection:
            return connection.execute(statement, parameters).fetchall()
    return database.execute(statement, parameters).fetchall()


@app.task(name="receipts.register", ignore_result=True)
def register(request):
    receipt, parameters = receipts.prepare(request)
    with _hands() as (database, session):
        assert _write(database, receipts.ACCEPT, parameters)
        answer = session.post(receipts.URL, data=receipt["wire"], headers=receipts.HEADERS)
        answer.raise_for_status()
        assert _write(database, receipts.RECORD, receipts.answered(receipt, answer.text))
