"""Prefetching by threads: decoding and warping release Python's global interpreter lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

__all__ = ["ahead"]

Job = TypeVar("Job")
Done = TypeVar("Done")


def ahead(
    work: Callable[[Job], Done], jobs: Iterable[Job], workers: int, most: int
) -> Generator[Done, None, None]:
    """Yield work(job) of each job in order, computed by `workers` threads; with 0, by the caller's.

    At most `most` jobs run ahead of the consumer.  An exception of a worker is raised here.
    When the iterator is closed, jobs that were not begun are dropped and the threads end.
    """
    if not workers:
        yield from map(work, jobs)
        return
    waiting: deque[Future[Done]] = deque()
    rest = iter(jobs)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="feed")
    try:
        waiting.extend(pool.submit(work, job) for job in islice(rest, most))
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(pool.submit(work, job) for job in islice(rest, 1))
            yield done
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
