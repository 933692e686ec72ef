# Threads that share the work of a call. Included by `_core`.


cdef class Pool:
    """Threads that share the work of a call.

    It starts none: each thread that calls `serve` belongs to it until `close`. A call needs none of
    them: what no thread has taken, the caller computes.

    Parameters
    ----------
    threads : int
        In how many parts work is to be cut: the callers of `serve`, and the caller itself.
    """

    cdef lstm_pool* pool
    cdef readonly int threads

    def __cinit__(self, int threads):
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
    return 1 if pool is None else max(1, min(256, pool.threads))
