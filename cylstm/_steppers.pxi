# One frame at a time: what computes arrays of one shape, without new ones. For `_core`.

cdef class Frames:
    """What is called with a frame, an array of one shape and dtype, and writes into arrays it has.

    Attributes
    ----------
    claim : Claim
        Held by each call, and by whoever else reads or writes what it writes.
    """

    cdef readonly Claim claim
    cdef object dtype
    cdef Py_ssize_t item
    cdef int64_t operations
    cdef Pool pool
    cdef Views held             # of the arrays that are written
    cdef object result          # what each call returns
    cdef int threads
    cdef bint is_long           # whether other threads may run meanwhile, and help

    cdef int enter(self, dtype, double operations, result, pool) except -1:
        """Enter what is the same for all."""
        self.claim = Claim()
        self.dtype, self.item, self.result = dtype, dtype.itemsize, result
        self.is_long = operations >= _least_work
        self.pool = pool() if self.is_long else None
        self.threads = 1 if self.pool is None else self.pool.threads
        return 0

    cdef bint fits(self, const Py_buffer* x) noexcept:
        """Whether a frame has the shape, and is laid out as the kernels take it."""
        return False

    cdef void compute(self, const Py_buffer* x, lstm_pool* servers) noexcept nogil:
        """Read a frame that fits, and write."""

    cdef tuple frame_shape(self):
        """The shape of a frame, for errors."""
        return ()

    def __dealloc__(self):
        let_go(&self.held)

    def __reduce__(self):
        raise TypeError("packed weights belong to one process and CPU")

    def __call__(self, frame):
        cdef Views views
        cdef Py_buffer* x
        cdef lstm_pool* servers = NULL if self.pool is None else self.pool.pool
        views.count = 0
        if type(frame) is not ndarray or frame.dtype is not self.dtype:
            frame = self.cast(frame)
        try:
            x = hold(&views, "a frame", frame, self.item)
            if not self.fits(x):
                let_go(&views)
                x = hold(&views, "a frame", self.cast(frame), self.item)
                if not self.fits(x):
                    raise ValueError("`cast` must return a frame that fits")
            self.claim.take()
            if self.is_long:
                with nogil:
                    self.compute(x, servers)
            else:
                self.compute(x, NULL)
            lstm_release(&self.claim.taken)
            return self.result
        finally:
            let_go(&views)

    def cast(self, frame):
        """A frame that does not fit, as one that does, or an error. A subclass may know how."""
        raise ValueError(f"a frame must have the shape {self.frame_shape()}")


cdef class Stepper(Frames):
    """A sequence that is computed as it comes: each call, with x (batch, input_dim), is one step.

    Parameters
    ----------
    cell : Cell
    h, c : ndarray, shape (batch, units)
        The state: read and written by each call.
    result : object
        What each call returns, such as a view of `h`.
    pool : callable
        As for `Cell.forward`: asked once, now.

    Attributes
    ----------
    claim : Claim
        Held by each call, and by whoever else reads or writes the state.
    """

    cdef readonly Cell cell
    cdef lstm_stream* stream
    cdef lstm_shape shape

    def __cinit__(self, Cell cell not None, h not None, c not None, result, pool):
        cdef lstm_call call
        cdef Py_ssize_t batch = len(h), units = cell.call.shape.units
        cell.begin(&call, False, pool)
        self.cell = cell
        call.arrays.final_h = take(&self.held, "h", h, cell.item, 2, batch, units, 1, True)
        call.arrays.final_c = take(&self.held, "c", c, cell.item, 2, batch, units, 1, True)
        call.shape.batch, call.shape.steps = batch, 1
        self.shape = call.shape
        self.enter(cell.dtype, lstm_operations(&call.shape), result, pool)
        self.stream = lstm_stream_open(&call, self.threads)
        if self.stream == NULL:
            raise MemoryError("no memory for the work space of a stream")

    def __dealloc__(self):
        lstm_stream_close(self.stream)

    cdef bint fits(self, const Py_buffer* x) noexcept:
        """A frame is (batch, input_dim), with rows that are contiguous."""
        return (x.ndim == 2 and x.shape[0] == self.shape.batch and x.shape[1] == self.shape.inputs
                and (x.strides[1] == self.item or x.shape[1] <= 1)
                and x.strides[0] % self.item == 0)

    cdef void compute(self, const Py_buffer* x, lstm_pool* servers) noexcept nogil:
        lstm_stream_step(self.stream, x.buf, x.strides[0] // self.item, servers)

    cdef tuple frame_shape(self):
        return self.shape.batch, self.shape.inputs
