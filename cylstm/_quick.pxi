# The common cases with little ado: what they read and write is described by raw buffers.
# Included by `_core`.

# Buffers ------------------------------------------------------------------------------------------

cdef enum:
    MOST_VIEWS = 16


cdef struct Views:
    # The arrays of a call, held until `let_go`.
    Py_buffer view[MOST_VIEWS]
    int count


cdef Py_buffer* hold(Views* views, array, bint written) except? NULL:
    """The buffer of an array; NULL if it is none."""
    cdef Py_buffer* view = &views.view[views.count]
    if not PyObject_CheckBuffer(array):
        return NULL
    try:
        PyObject_GetBuffer(
            array, view, PyBUF_STRIDES | PyBUF_FORMAT | (PyBUF_WRITABLE if written else 0)
        )
    except (BufferError, ValueError):  # read-only, or of a dtype that has no buffers
        return NULL
    views.count += 1
    return view


cdef void let_go(Views* views) noexcept:
    while views.count > 0:
        views.count -= 1
        PyBuffer_Release(&views.view[views.count])


cdef bint has_type(const Py_buffer* view, Py_ssize_t item) noexcept:
    """Whether it holds aligned numbers: native float (item 4), double (8) or bool (1)."""
    cdef const char* format = b"f" if item == 4 else b"d" if item == 8 else b"?"
    return (view.itemsize == item and <size_t>view.buf % item == 0
            and strcmp(view.format, format) == 0)


cdef bint place(
    Views* views, void** address, array, bint written, Py_ssize_t item, int rank,
    Py_ssize_t n0, Py_ssize_t n1=1, Py_ssize_t n2=1,
) except -1:
    """Whether an array has this type and shape and is in C order; if so, enter its address.

    None fits, and its address is NULL.
    """
    cdef Py_ssize_t[3] shape = [n0, n1, n2]
    cdef Py_ssize_t stride = item
    cdef Py_buffer* view
    cdef int axis
    address[0] = NULL
    if array is None:
        return True
    if type(array) is not ndarray:  # a subclass may mean something else by its numbers
        return False
    view = hold(views, array, written)
    if view == NULL or view.ndim != rank or not has_type(view, item):
        return False
    for axis in range(rank - 1, -1, -1):
        if view.shape[axis] != shape[axis] or view.strides[axis] != stride and shape[axis] > 1:
            return False
        stride *= shape[axis]
    address[0] = view.buf
    return True


cdef bint place_inputs(
    Views* views, lstm_problem* p, PackedWeights packed, inputs
) except -1:
    """Whether inputs fit the weights and are not empty; if so, enter them and their sizes."""
    cdef Py_ssize_t item = packed.kernels.item
    cdef Py_buffer* x = NULL if type(inputs) is not ndarray else hold(views, inputs, False)
    if (x == NULL or x.ndim != 3 or not has_type(x, item) or x.shape[0] == 0 or x.shape[1] == 0
            or x.shape[2] == 0 or x.shape[2] != packed.input_dim):
        return False
    if (x.strides[2] != item and x.shape[2] > 1) or x.strides[1] % item or x.strides[0] % item:
        return False
    p.batch = x.shape[0]
    p.steps = x.shape[1]
    p.inputs = packed.input_dim
    p.units = packed.units
    p.x = x.buf
    p.x_row_stride = x.strides[0] // item
    p.x_step_stride = x.strides[1] // item
    return True


cdef bint place_states(Views* views, lstm_problem* p, states, Py_ssize_t item) except -1:
    """Whether the initial states fit, and if so enter them."""
    if states is None:
        return True
    if not isinstance(states, (list, tuple)) or len(states) != 2:
        return False
    return (place(views, <void**>&p.initial_h, states[0], False, item, 2, p.batch, p.units)
            and place(views, <void**>&p.initial_c, states[1], False, item, 2, p.batch, p.units))


cdef Py_ssize_t cache_length(const lstm_problem* p) noexcept:
    """How many numbers the cache has: gates, cells and hidden."""
    return lstm_times(6, lstm_times(lstm_times(p.batch, p.steps), p.units))


cdef void split_cache(lstm_problem* p, Py_ssize_t item) noexcept:
    """Enter the parts of the cache, of which the gates come first."""
    cdef int64_t size = p.batch * p.steps * p.units * item  # of a cache that is there
    p.cells = <char*>p.gates + 4 * size
    p.hidden = <char*>p.gates + 5 * size


cdef bint set_options(
    lstm_problem* p, int activation, int recurrent_activation, bint go_backwards, bint zero_leading
) noexcept:
    """Whether the kernels have these activations; if so, enter the options."""
    p.activation = activation
    p.recurrent_activation = recurrent_activation
    p.go_backwards = go_backwards
    p.zero_leading = zero_leading
    return 0 <= activation < LSTM_ACTIVATIONS and 0 <= recurrent_activation < LSTM_ACTIVATIONS


# Whole sequences ----------------------------------------------------------------------------------


cdef class Weights:
    """One value of the weights, what the kernels read of it, and the passes in the common cases.

    Nothing of it changes, so threads may share it; two that pack at once do the same work twice.
    Dropout, softmax and activations of the user's own are left to `lstm_forward` and its kin.

    Parameters
    ----------
    kernel, recurrent_kernel, bias : ndarray, bias or None
        As `pack_weights` takes them.
    """

    cdef readonly object kernel, recurrent_kernel, bias
    cdef object dtype
    cdef Py_ssize_t item            # bytes of a number
    cdef PackedWeights _packed, _transposed

    def __cinit__(self, kernel not None, recurrent_kernel not None, bias):
        self.kernel = kernel
        self.recurrent_kernel = recurrent_kernel
        self.bias = bias
        self.dtype = kernel.dtype
        self.item = kernel.dtype.itemsize

    def __reduce__(self):
        return Weights, (self.kernel, self.recurrent_kernel, self.bias)

    cpdef PackedWeights packed(self):
        """The packed weights for the forward pass."""
        if self._packed is None:
            self._packed = self._pack(False)
        return self._packed

    cpdef PackedWeights transposed(self):
        """The packed weights for the backward pass."""
        if self._transposed is None:
            self._transposed = self._pack(True)
        return self._transposed

    cdef PackedWeights _pack(self, bint transposed):
        return pack_weights(
            kernel=self.kernel, recurrent_kernel=self.recurrent_kernel, bias=self.bias,
            transposed=transposed,
        )

    cdef room(self, Views* views, void** address, int rank, Py_ssize_t n0, Py_ssize_t n1=1,
              Py_ssize_t n2=1):
        """A new array of this shape, and its address."""
        cdef int64_t size = lstm_times(lstm_times(lstm_times(n0, n1), n2), self.item)
        cdef Py_buffer* view
        cdef tuple shape
        if rank == 1:
            shape = (n0,)
        elif rank == 2:
            shape = (n0, n1)
        else:
            shape = (n0, n1, n2)
        array = empty_of_size(shape, self.dtype, size)
        view = hold(views, array, True)
        address[0] = view.buf
        return array

    def forward(
        self,
        inputs,                 # IN  (batch, timesteps, input_dim), only its last axis contiguous
        mask,                   # IN  (batch, timesteps) bool, or None
        states,                 # IN  h and c, (batch, units) each, or None for zeros
        int activation,
        int recurrent_activation,
        bint go_backwards,
        bint zero_leading,
        bint sequence,          # whether the output of every timestep is wanted
        bint final_states,      # whether h and c are; without `sequence` h is in any case
        bint keep,              # whether `backward` will be called
        pool,                   # from the number of operations to a Pool, or None for one thread
    ):
        """What `lstm_forward` does, without dropout and without the cost of so many views.

        Returns
        -------
        outputs, final_h, final_c, cache : ndarray or None
            (batch, timesteps, units), (batch, units) twice, and what `backward` needs, as far as
            they are wanted. Instead of all of them None, and nothing is done, unless the fused
            kernels have the activations and every array is of the type and shape that is asked
            for, in C order.
        """
        cdef PackedWeights packed = self.packed()
        cdef Py_ssize_t item = packed.kernels.item, units = packed.units
        cdef Views views
        cdef lstm_problem p
        cdef Pool threads
        cdef lstm_pool* shared
        cdef int count
        views.count = 0
        memset(&p, 0, sizeof(p))
        try:
            if (
                not set_options(&p, activation, recurrent_activation, go_backwards, zero_leading)
                or not place_inputs(&views, &p, packed, inputs)
                or not place(&views, <void**>&p.mask, mask, False, 1, 2, p.batch, p.steps)
                or not place_states(&views, &p, states, item)
            ):
                return None
            outputs = final_h = final_c = cache = None
            if sequence:
                outputs = self.room(&views, &p.outputs, 3, p.batch, p.steps, units)
            if final_states or not sequence:
                final_h = self.room(&views, &p.final_h, 2, p.batch, units)
            if final_states:
                final_c = self.room(&views, &p.final_c, 2, p.batch, units)
            if keep:
                cache = self.room(&views, &p.gates, 1, cache_length(&p))
                split_cache(&p, item)
            p.kernel_pack = packed.kernel
            p.recurrent_pack = packed.recurrent
            p.bias_pack = packed.bias
            threads = pool(operations(&p))
            shared, count = pool_of(threads), threads_of(threads)
            with nogil:
                run_forward(packed.kernels, &p, shared, count)
            return outputs, final_h, final_c, cache
        finally:
            let_go(&views)

    def backward(
        self,
        inputs,                 # IN  as for `forward`, like the next six
        mask,
        states,
        int activation,
        int recurrent_activation,
        bint go_backwards,
        bint zero_leading,
        pool,
        *,
        cache,                  # IN  of `forward`
        d_outputs,              # IN  (batch, timesteps, units), None for zeros
        d_final_h,              # IN  (batch, units), None for zeros
        d_final_c,              # IN  (batch, units), None for zeros
        bint d_states,          # whether the gradients of the initial states are wanted
    ):
        """What `lstm_backward` does, without dropout and without the cost of so many views.

        Returns
        -------
        list of ndarray
            The gradients of the inputs, of both initial states (None if not wanted), of the
            kernel, the recurrent kernel and the bias (None without one). Instead of it None, as
            for `forward`.
        """
        cdef PackedWeights packed = self.transposed()
        cdef Py_ssize_t item = packed.kernels.item, units = packed.units, width = packed.input_dim
        cdef Views views
        cdef lstm_problem p
        cdef Pool threads
        cdef lstm_pool* shared
        cdef int count
        views.count = 0
        memset(&p, 0, sizeof(p))
        try:
            if (
                cache is None
                or not set_options(&p, activation, recurrent_activation, go_backwards, zero_leading)
                or not place_inputs(&views, &p, packed, inputs)
                or not place(&views, <void**>&p.mask, mask, False, 1, 2, p.batch, p.steps)
                or not place_states(&views, &p, states, item)
                or not place(&views, &p.gates, cache, False, item, 1, cache_length(&p))
                or not place(&views, <void**>&p.d_outputs, d_outputs, False, item, 3, p.batch,
                             p.steps, units)
                or not place(&views, <void**>&p.d_final_h, d_final_h, False, item, 2, p.batch,
                             units)
                or not place(&views, <void**>&p.d_final_c, d_final_c, False, item, 2, p.batch,
                             units)
            ):
                return None
            split_cache(&p, item)
            d_h = d_c = d_bias = None
            d_inputs = self.room(&views, &p.d_inputs, 3, p.batch, p.steps, width)
            if d_states:
                d_h = self.room(&views, &p.d_initial_h, 2, p.batch, units)
                d_c = self.room(&views, &p.d_initial_c, 2, p.batch, units)
            d_kernel = self.room(&views, &p.d_kernel, 2, width, 4 * units)
            d_recurrent_kernel = self.room(&views, &p.d_recurrent_kernel, 2, units, 4 * units)
            if self.bias is not None:
                d_bias = self.room(&views, &p.d_bias, 1, 4 * units)
            p.transposed_pack = packed.recurrent
            p.kernel_transposed_pack = packed.kernel
            threads = pool(operations(&p))
            shared, count = pool_of(threads), threads_of(threads)
            with nogil:
                run_backward(packed.kernels, &p, shared, count)
            return [d_inputs, d_h, d_c, d_kernel, d_recurrent_kernel, d_bias]
        finally:
            let_go(&views)


# One step at a time -------------------------------------------------------------------------------


cdef enum:
    # Operations from which a step lets other threads of Python run, and is shared among threads.
    LONG_STEP = 250000


cdef class Stepper:
    """A sequence that is computed as it comes: each call, with x (batch, input_dim), is one step.

    Parameters
    ----------
    packed : PackedWeights
        For the forward pass.
    h, c : ndarray, shape (batch, units)
        The state: read and written by each call.
    result : object
        What each call returns, such as a view of `h`.
    activation, recurrent_activation : int
        As for `lstm_forward`, but without softmax.
    pool : Pool or None
        The threads to share a step among; None computes in the calling thread.

    Attributes
    ----------
    claim : Claim
        Held by each call, and by whoever else reads or writes the state.
    """

    cdef PackedWeights packed
    cdef Pool pool
    cdef lstm_problem problem
    cdef Pass plan
    cdef Views state
    cdef object result
    cdef bint long_steps
    cdef readonly Claim claim

    def __cinit__(
        self, PackedWeights packed not None, h not None, c not None, result, int activation,
        int recurrent_activation, Pool pool,
    ):
        cdef lstm_problem* p = &self.problem
        cdef Py_ssize_t item = packed.kernels.item
        cdef int64_t size
        if packed.transposed or not set_options(p, activation, recurrent_activation, False, False):
            raise ValueError("a stepper takes weights that are not transposed, and no softmax")
        self.packed = packed
        self.pool = pool
        self.claim = Claim()
        self.result = result
        p.batch = len(h)
        p.inputs = packed.input_dim
        p.units = packed.units
        p.steps = p.end = 1
        if not (place(&self.state, &p.final_h, h, True, item, 2, p.batch, p.units)
                and place(&self.state, &p.final_c, c, True, item, 2, p.batch, p.units)):
            raise ValueError(f"h and c must be arrays of the same batch and {p.units} units")
        p.kernel_pack = packed.kernel
        p.recurrent_pack = packed.recurrent
        p.bias_pack = packed.bias
        p.initial_h = p.final_h
        p.initial_c = p.final_c
        p.x_step_stride = p.inputs
        self.plan.kernels = packed.kernels
        self.plan.problem = p
        size = plan_forward(&self.plan, threads_of(pool))
        self.plan.work = <char*>allocate(lstm_plus(size, lstm_times(2, self.state_size())))
        if self.plan.apart:
            p.final_h = self.plan.work + size
            p.final_c = self.plan.work + size + self.state_size()
        self.long_steps = operations(p) > LONG_STEP

    cdef int64_t state_size(self) noexcept:
        """The bytes of h, or of c."""
        return states_size(&self.problem, self.packed.kernels)

    def __dealloc__(self):
        let_go(&self.state)
        lstm_give(self.plan.work)

    def __reduce__(self):
        raise TypeError("a stepper holds packed weights, which belong to one process and CPU")

    def __call__(self, frame):
        if not self.step(frame) and not self.step(self.cast(frame)):
            raise ValueError(
                f"a frame must have the shape {self.problem.batch, self.problem.inputs}"
            )
        return self.result

    def cast(self, frame):
        """A frame that does not fit, as one that does. A subclass may know how."""
        return frame

    cdef bint step(self, frame) except -1:
        """Whether the frame fits; if so, go on by one step."""
        cdef Views views
        cdef lstm_problem* p = &self.problem
        cdef Py_ssize_t item = self.packed.kernels.item
        cdef Py_buffer* x
        cdef lstm_pool* threads = pool_of(self.pool)
        if type(frame) is not ndarray:
            return False
        views.count = 0
        self.claim.take()
        try:
            x = hold(&views, frame, False)
            if (x == NULL or x.ndim != 2 or not has_type(x, item) or x.shape[0] != p.batch
                    or x.shape[1] != p.inputs or x.strides[1] != item or x.strides[0] % item):
                return False
            p.x = x.buf
            p.x_row_stride = x.strides[0] // item
            if self.long_steps:
                with nogil:
                    forward_piece(&self.plan, threads)
            else:
                forward_piece(&self.plan, NULL)
            if self.plan.apart:
                memcpy(<void*>p.initial_h, p.final_h, self.state_size())
                memcpy(<void*>p.initial_c, p.final_c, self.state_size())
            p.odd = not p.odd  # for what the caches still hold of the weights: up to 8 % less time
            return True
        finally:
            let_go(&views)
            lstm_release(&self.claim.taken)
