# Products beside the LSTM: activation(x W + b), of rows or of windows over time. For `_core`.

cdef class Affine:
    """A product with a matrix and what follows it: ``activation(x W + b)``, of one W and b.

    With a kernel of two axes x is each row of the inputs; with one of three it is each window over
    the timesteps, a convolution:

        y[t] = activation(b + sum over k of x[t * stride - before + k * dilation] W[k])

    where x is zero outside of the sequence. Every number is one chain of multiply-adds in a fixed
    order, so a row has the same bits alone or among others, on any number of threads. Nothing of an
    Affine changes, so threads may share it.

    Parameters
    ----------
    kernel : ndarray, shape (features, columns) or (size, features, columns)
        float32 or float64: the precision of everything.
    bias : ndarray, shape (columns,), or None
    activation : int
        A number of ACTIVATIONS.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit together, or the activation is unknown.
    MemoryError
        If there is no memory for the packed weights.

    Attributes
    ----------
    dtype : dtype
        Of the weights.
    """

    cdef readonly object dtype
    cdef Py_ssize_t item
    cdef bint windowed
    cdef lstm_affine call

    def __cinit__(self, kernel not None, bias, *, int activation):
        cdef Views views
        cdef Py_buffer* view
        cdef const void* given
        cdef int packed
        views.count = 0
        self.dtype = getattr(kernel, "dtype", None)
        self.item = 8 if self.dtype == "float64" else 4
        try:
            view = hold(&views, "kernel", kernel, self.item)
            if view.ndim != 2 and view.ndim != 3:
                raise ValueError(
                    f"kernel must have two or three axes, got the shape {kernel.shape}"
                )
            self.windowed = view.ndim == 3
            self.call.size = view.shape[0] if self.windowed else 1
            self.call.features = view.shape[view.ndim - 2]
            self.call.columns = view.shape[view.ndim - 1]
            if not PyBuffer_IsContiguous(view, b"C"):
                raise ValueError("kernel is not C-contiguous")
            given = take(&views, "bias", bias, self.item, 1, self.call.columns)
            self.call.activation = number_of(activation, True)
            self.call.kernels = _kernels[self.item == 8]
            with nogil:
                packed = lstm_affine_pack(&self.call, view.buf, given)
            if not packed:
                raise MemoryError("no memory for packed weights")
        finally:
            let_go(&views)

    @property
    def columns(self):
        """The size of the outputs."""
        return self.call.columns

    def __dealloc__(self):
        lstm_give(<void*>self.call.matrix)

    def __reduce__(self):
        raise TypeError("packed weights belong to one process and CPU: make them again")

    cdef int enter_windows(self, lstm_affine* call, windows, Py_ssize_t steps) except -1:
        """Enter the windows: count, stride, dilation, before; with rows there are none."""
        call[0] = self.call
        call.steps = steps
        if not self.windowed:
            if windows is not None:
                raise ValueError("a kernel of two axes has no windows")
            call.count = call.stride = call.dilation = 1
            return 0
        call.count, call.stride, call.dilation, call.before = windows
        if (call.count < 0 or call.stride < 1 or call.dilation < 1 or call.before < 0
                or lstm_times(call.count, call.stride) > PY_SSIZE_T_MAX // 2
                or lstm_times(call.size, call.dilation) > PY_SSIZE_T_MAX // 2
                or call.before > PY_SSIZE_T_MAX // 2):
            raise ValueError(f"{windows} are no windows: count, stride, dilation, before")
        return 0

    cdef bint enter_inputs(self, lstm_affine* call, const Py_buffer* x) noexcept nogil:
        """Enter the inputs; False where they are not laid out as the kernels take them."""
        cdef int last = x.ndim - 1, axis
        cdef bint fits = x.strides[last] == self.item or x.shape[last] <= 1
        call.x = x.buf
        call.batch = x.shape[0]
        call.x_row_stride = x.strides[0] // self.item
        for axis in range(last):
            fits = fits and x.strides[axis] % self.item == 0
        if self.windowed:
            call.x_step_stride = x.strides[1] // self.item
        else:
            for axis in range(1, last):  # all rows must be evenly apart
                fits = fits and x.strides[axis - 1] == x.shape[axis] * x.strides[axis]
                call.batch *= x.shape[axis]
                call.x_row_stride = x.strides[axis] // self.item
        return fits or x.len == 0

    cdef int enter_outputs(
        self, lstm_affine* call, str name, array, const Py_buffer* y, tuple shape
    ) except -1:
        """Enter the outputs, of this shape: contiguous, but for what lies between sequences."""
        if array.shape != shape:
            raise ValueError(f"{name} has the shape {array.shape}, expected {shape}")
        call.outputs = y.buf
        call.y_row_stride = call.count * call.columns
        if PyBuffer_IsContiguous(y, b"C"):
            return 0
        if not (self.windowed and y.strides[0] % self.item == 0
                and y.strides[1] == call.columns * self.item
                and (y.strides[2] == self.item or y.shape[2] <= 1)):
            raise ValueError(f"{name} is not C-contiguous")
        call.y_row_stride = y.strides[0] // self.item
        return 0

    def forward(
        self,
        inputs,         # IN  (..., features) or, for windows, (batch, timesteps, features)
        windows,        # count, stride, dilation, before; None with a kernel of two axes
        pool,           # gives a Pool, or None for one thread; asked if there is work
        out=None,       # OUT the array to write, instead of a new one; sequences may be apart
    ):
        """Compute the outputs.

        Only the last axis of inputs must be contiguous; rows of more than two axes, evenly apart.

        Returns
        -------
        ndarray, shape (..., columns) or (batch, count, columns)

        Raises
        ------
        ValueError, TypeError, MemoryError
            If an array does not fit, or there is no memory.
        """
        cdef Views views
        cdef lstm_affine call
        cdef Py_buffer* x
        cdef Py_buffer* y
        cdef int64_t size
        cdef tuple shape
        views.count = 0
        try:
            x = hold(&views, "inputs", inputs, self.item)
            if (x.ndim < 2 or x.shape[x.ndim - 1] != self.call.features
                    or (self.windowed and x.ndim != 3)):
                expected = "(batch, timesteps, " if self.windowed else "(..., "
                raise ValueError(f"inputs has the shape {inputs.shape}, expected "
                                 f"{expected}{self.call.features})")
            self.enter_windows(&call, windows, x.shape[1] if self.windowed else 1)
            if not self.enter_inputs(&call, x):
                raise ValueError("inputs is not contiguous: its rows are not evenly apart")
            if self.windowed:
                shape = call.batch, call.count, call.columns
            elif x.ndim == 2:
                shape = call.batch, call.columns
            else:
                shape = (*inputs.shape[:x.ndim - 1], call.columns)
            if out is None:
                size = lstm_times(lstm_times(call.batch, call.count), call.columns)
                out = empty_of_size(shape, self.dtype, lstm_times(size, self.item))
            y = hold(&views, "out", out, self.item, True)
            self.enter_outputs(&call, "out", out, y, shape)
            if y.len > 0:
                run_affine(&call, pool)
            return out
        finally:
            let_go(&views)


cdef int run_affine(lstm_affine* call, pool) except -1:
    """Compute; without the GIL, and on the threads of a pool, if there is work for them."""
    cdef bint is_long = lstm_affine_operations(call) >= _least_work
    cdef Pool threads = pool() if is_long else None
    cdef lstm_pool* servers = NULL if threads is None else threads.pool
    cdef int count = 1 if threads is None else threads.threads
    cdef void* work = lstm_take(lstm_affine_work(call, count))
    if work == NULL:
        raise MemoryError("no memory for the work space of a product")
    if is_long:
        with nogil:
            lstm_affine_run(call, work, servers, count)
    else:
        lstm_affine_run(call, work, NULL, 1)
    lstm_give(work)
    return 0


cdef class AffineStepper(Frames):
    """The same product of one frame after the other, into the same array.

    Parameters
    ----------
    affine : Affine
    shape : tuple of int
        Of a frame: (batch, features) or, for windows, (batch, timesteps, features).
    windows : tuple or None
        As for `Affine.forward`.
    outputs : ndarray
        (batch, columns) or (batch, count, columns): written by each call.
    result : object
        What each call returns, such as a view of `outputs`.
    pool : callable
        As for `Affine.forward`: asked once, now.
    """

    cdef readonly Affine affine
    cdef readonly tuple shape
    cdef lstm_affine call
    cdef void* work

    def __cinit__(
        self, Affine affine not None, tuple shape not None, windows, outputs not None, result, pool
    ):
        cdef lstm_affine* call = &self.call
        cdef Py_buffer* view
        self.affine, self.shape = affine, shape
        if len(shape) != 2 + affine.windowed or shape[len(shape) - 1] != affine.call.features:
            raise ValueError(f"frames cannot have the shape {shape}")
        affine.enter_windows(call, windows, shape[1] if affine.windowed else 1)
        call.batch = length_of(shape[0])
        if affine.windowed:
            expected = call.batch, call.count, affine.call.columns
        else:
            expected = call.batch, affine.call.columns
        view = hold(&self.held, "outputs", outputs, affine.item, True)
        affine.enter_outputs(call, "outputs", outputs, view, expected)
        self.enter(affine.dtype, lstm_affine_operations(call), result, pool)
        self.work = lstm_take(lstm_affine_work(call, self.threads))
        if self.work == NULL:
            raise MemoryError("no memory for the work space of a product")

    def __dealloc__(self):
        lstm_give(self.work)

    cdef bint fits(self, const Py_buffer* x) noexcept:
        """A frame has the shape, and a last axis that is contiguous."""
        cdef bint windowed = self.affine.windowed
        cdef lstm_affine call = self.call  # another thread may compute with that one
        return (x.ndim == 2 + windowed and x.shape[0] == self.call.batch
                and (not windowed or x.shape[1] == self.call.steps)
                and x.shape[x.ndim - 1] == self.call.features
                and self.affine.enter_inputs(&call, x))

    cdef void compute(self, const Py_buffer* x, lstm_pool* servers) noexcept nogil:
        self.affine.enter_inputs(&self.call, x)
        lstm_affine_run(&self.call, self.work, servers, self.threads)

    cdef tuple frame_shape(self):
        return self.shape
