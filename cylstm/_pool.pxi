# Threads that share the work of a call, and objects that they do not share. Included by `_core`.

# How many threads a pool may have.
MOST_THREADS = LSTM_MOST_THREADS


cdef class Pool:
    """Threads that share the work of a call.

    It starts none: each thread that calls `serve` belongs to it until `close`. A call needs none of
    them: what no thread has taken, the caller computes.

    Parameters
    ----------
    threads : int
        In how many parts work is to be cut: the callers of `serve`, and the caller itself.

    Raises
    ------
    ValueError
        Unless there are 1 to MOST_THREADS.
    """

    cdef lstm_pool* pool
    cdef readonly int threads

    def __cinit__(self, threads):
        if not 1 <= threads <= MOST_THREADS:
            raise ValueError(f"a pool has 1 to {MOST_THREADS} threads, got {threads}")
        self.threads = threads
        self.pool = lstm_pool_open()

    def __dealloc__(self):
        if self.pool != NULL:
            lstm_pool_free(self.pool)

    def serve(self):
        """Work for this pool until it is closed."""
        if self.pool != NULL:
            with nogil:
                lstm_pool_serve(self.pool)

    def close(self):
        """Let the threads go. Calls that are running end as usual."""
        if self.pool != NULL:
            with nogil:
                lstm_pool_close(self.pool)


cdef inline lstm_pool* pool_of(Pool pool) noexcept:
    return NULL if pool is None else pool.pool


cdef inline int threads_of(Pool pool) noexcept:
    return 1 if pool is None else pool.threads


cdef class Claim:
    """What one thread holds at a time: `with claim:`, a RuntimeError while another holds it."""

    cdef char taken

    cdef int take(self) except -1:
        if not lstm_claim(&self.taken):
            raise RuntimeError(
                "This stream is in use by another call: it serves one thread at a time. Give each "
                "thread a stream of its own, such as `stream.copy()`."
            )
        return 0

    def __enter__(self):
        self.take()

    def __exit__(self, *error):
        lstm_release(&self.taken)

    def __reduce__(self):
        return Claim, ()
