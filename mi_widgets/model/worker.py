"""Worker: one thread, one queue. Everything that touches a twin runs here, one job after the other.

Jupyter runs widget callbacks on changing threads, and two threads on one bridge give wrong numbers without an error.
So cells and views alike hand their work to this thread. A job can be stopped: its flag is looked at before every block
of every forward pass. A newer job of the same owner replaces the older one (latest wins).
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """The job was stopped, by a person or by a newer request."""


class Closed(RuntimeError):
    """The model was closed."""

    def __init__(self) -> None:
        super().__init__("this model is closed; make a new one with mi.load() or mi.Model(...)")


class Job:
    """One piece of work in the queue. Ids increase, so that a late result can be told from the latest."""

    _ids = itertools.count(1)

    def __init__(self, stop: threading.Event | None = None) -> None:
        self.id = next(Job._ids)
        self.future: Future[Any] = Future()
        self._stop = stop or threading.Event()

    def stop(self) -> None:
        """Ask the job to end; one that has not begun never begins."""
        self._stop.set()
        self.future.cancel()

    @property
    def stopped(self) -> bool:
        """Whether somebody asked the job to end."""
        return self._stop.is_set()


class Worker:
    """A thread that runs jobs in turn.

    around: a context manager factory that wraps every job (grad mode, checks before and after).
    """

    def __init__(self, name: str, around: Callable[[], Any]) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._around = around
        self._thread: threading.Thread | None = None
        self._latest: weakref.WeakKeyDictionary[Any, Job] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self.job: Job | None = None
        self.closed = False

    def do(self, work: Callable[[], T], stop: threading.Event | None = None) -> T:
        """Run `work` on the worker and wait for it; from the worker's own thread, run it at once.

        An interrupt of the waiting cell stops the job, waits until it has ended if it had begun, and is then raised.
        stop: see `Model.do`; several jobs may share one.
        """
        if self.is_current:
            return work()
        job = self.submit(work, stop=stop)
        try:
            return job.future.result()
        except CancelledError:
            raise Closed() if self.closed else Stopped("stopped") from None
        except KeyboardInterrupt:
            job.stop()
            if not job.future.cancelled():
                wait([job.future])
            raise

    def submit(self, work: Callable[[], T], owner: Any = None, stop: threading.Event | None = None) -> Job:
        """Queue `work`. With an owner, an unfinished earlier job of the same owner is stopped first."""
        job = Job(stop)
        with self._lock:
            if self.closed:
                raise Closed()
            if owner is not None:
                if earlier := self._latest.get(owner):
                    earlier.stop()
                self._latest[owner] = job
            queued = self._executor.submit(self._run, job, work)
        queued.add_done_callback(lambda queued: job.stop() if queued.cancelled() else None)
        return job

    @property
    def is_current(self) -> bool:
        """Whether the caller is on the worker's thread."""
        return threading.current_thread() is self._thread

    def check(self) -> None:
        """Raise `Stopped` when the running job was asked to end."""
        if self.job is not None and self.job.stopped:
            raise Stopped("stopped")

    def close(self) -> None:
        """Stop the running job and those that wait, and take no more."""
        with self._lock:
            self.closed = True
        if self.job is not None:
            self.job.stop()
        self._executor.shutdown(wait=not self.is_current, cancel_futures=True)

    def _run(self, job: Job, work: Callable[[], Any]) -> None:
        if not job.future.set_running_or_notify_cancel():
            return
        self._thread, self.job = threading.current_thread(), job
        try:
            with self._around():
                self.check()
                result = work()
        except BaseException as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)
        finally:
            self.job = None
