# What calls share: memory that is used again, and threads; and what they do not. For `_core`.

# Memory -------------------------------------------------------------------------------------------

LARGE = LSTM_KEPT_FROM  # bytes from which the memory of an array is used again


cdef class Block:
    """Memory for an array, which is used again for others when nobody needs it any more.

    Parameters
    ----------
    size : int
        How many bytes; they hold anything. As a buffer it has so many of them.

    Raises
    ------
    ValueError, MemoryError
        For a negative size, or one that there is no memory for.
    """

    cdef void* memory
    cdef Py_ssize_t size

    def __cinit__(self, size):
        if size < 0:
            raise ValueError(f"a block has at least 0 bytes, got {size}")
        self.size = length_of(size)
        self.memory = lstm_take(self.size)
        if self.memory == NULL:
            raise MemoryError(f"no memory for {size} bytes")

    def __dealloc__(self):
        lstm_give(self.memory)

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.memory, self.size, False, flags)

    def __reduce__(self):
        raise TypeError("a block of memory belongs to one process")


def empty(tuple shape not None, dtype not None):
    """As `numpy.empty`, with memory of arrays that are no longer used where it is worth it.

    The system clears memory each time that it hands it out, which takes a third of the time of a
    training step. So large arrays give theirs to the next ones instead, up to 256 MB.

    Parameters
    ----------
    shape : tuple of int
        Of the array.
    dtype : dtype
        Of floats.

    Returns
    -------
    ndarray
        C-contiguous; it holds anything.

    Raises
    ------
    ValueError, MemoryError
        For a negative length, or a size that there is no memory for.
    """
    cdef int64_t size = dtype.itemsize
    for length in shape:
        size = lstm_times(size, length_of(length))
    return empty_of_size(shape, dtype, size)


cdef empty_of_size(tuple shape, dtype, int64_t size):
    """`empty`, of so many bytes."""
    if size < <int64_t>LSTM_KEPT_FROM:
        return numpy_empty(shape, dtype)
    return ndarray(shape, dtype, Block(size))


cdef Py_ssize_t length_of(number) except? -1:
    """An integer as a size; MemoryError where no array is so long."""
    if number > PY_SSIZE_T_MAX:
        raise MemoryError(f"no memory for {number} elements")
    return number


def kept_bytes():
    """How many bytes of memory wait to be used again."""
    return lstm_kept()


# Threads, and what they do not share --------------------------------------------------------------

MOST_THREADS = LSTM_MOST_THREADS


cdef class Pool:
    """Threads that share the work of a call.

    It starts none: each thread that calls `serve` belongs to it until `close`. A call needs none of
    them: what no thread has taken, the caller computes. `threads`, from 1 to MOST_THREADS, says in
    how many parts work is to be cut: for the callers of `serve`, and the caller itself.
    """

    cdef lstm_pool* pool
    cdef readonly int threads

    def __cinit__(self, threads, size_t parallel=0):
        if not 1 <= threads <= MOST_THREADS:
            raise ValueError(f"a pool has 1 to {MOST_THREADS} threads, got {threads}")
        self.threads = threads
        self.pool = lstm_pool_open(<lstm_parallel>parallel, threads)

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


cdef extern from "Python.h":
    int check_signals "PyErr_CheckSignals"() noexcept


cdef int interrupted() noexcept with gil:
    """Run signal handlers; -1 if one raised, such as KeyboardInterrupt: when the engine returns."""
    return check_signals()


def set_least_work(double operations):
    """Let calls of fewer operations stay on one thread; returns the number before."""
    global _least_work
    before, _least_work = _least_work, operations
    return before


ctypedef int (*engine_pass)(
    const lstm_call* call, lstm_pool* threads, int count, lstm_question interrupted
) noexcept nogil


cdef struct Job:
    # A pass or, without one, packing
    const lstm_call* call
    engine_pass compute
    bint transposed
    lstm_pool* servers
    int count
    int status              # OUT of a pass
    lstm_weights* packed    # OUT of packing


cdef void carry_out(void* context) noexcept nogil:
    cdef Job* job = <Job*>context
    if job.compute != NULL:
        job.status = job.compute(job.call, job.servers, job.count, interrupted)
    else:
        job.packed = lstm_pack(
            job.call.kernels, &job.call.shape, &job.call.weights, job.transposed, job.servers,
            job.count,
        )


cdef int carry_out_on(pool, double operations, Job* job) except -1:
    """Do a job without the GIL, on the threads of a pool if there is work for them."""
    cdef Pool threads = pool() if operations >= _least_work else None
    job.servers = NULL if threads is None else threads.pool
    job.count = 1 if threads is None else threads.threads
    with nogil:
        lstm_pool_enter(job.servers, carry_out, job, operations > LSTM_EAGER_WORK)
    return 0


cdef int run(lstm_call* call, pool, engine_pass compute) except -1:
    """Compute a pass."""
    cdef Job job
    job.call, job.compute = call, compute
    carry_out_on(pool, lstm_operations(&call.shape), &job)
    if job.status == LSTM_INTERRUPTED:
        return -1  # with the exception of the handler
    if job.status != LSTM_DONE:
        raise MemoryError("no memory for the work space of a pass")
    return 0


cdef lstm_weights* pack(lstm_call* call, pool, bint transposed) except NULL:
    """Weights packed for one of the passes."""
    cdef Job job
    job.call, job.compute, job.transposed = call, NULL, transposed
    carry_out_on(pool, lstm_pack_operations(&call.shape), &job)
    if job.packed == NULL:
        raise MemoryError("no memory for packed weights")
    return job.packed


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
