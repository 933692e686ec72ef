# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, binding=False, auto_pickle=False, embedsignature=True
# cython: embedsignature.format=clinic, freethreading_compatible=True
"""The compiled core: an LSTM over whole sequences, forward and backward, in float32 or float64.

Notation. All arrays are in C order; gates come in the order i, f, c, o.

    batch, timesteps, input_dim, units    the sizes; b < batch, t < timesteps
    s                   a step, in the order of processing: t = s, or timesteps - 1 - s backwards
    x  (b, t, input_dim)                  inputs
    h, c  (b, units)                      output and cell state of "now"; h', c' of the step before
    W  (input_dim, 4 units)               kernel; W_g: the columns of gate g
    U  (units, 4 units)                   recurrent_kernel; U_g likewise
    w  (4 units)                          bias
    z  (b, 4 units)                       what the gates are activated from
    i, f, g, o  (b, units)                the activated gates
    m_g  (b, input_dim), n_g  (b, units)  dropout masks of gate g, the same at every step
    d...                                  the gradient of the loss with respect to ...

With phi the activation and sigma the recurrent activation, a step is

    (F1)  z_g = (x * m_g) W_g
    (F2)  z_g += (h' * n_g) U_g
    (F3)  i, f, g, o = sigma(z_i + w_i), sigma(z_f + w_f), phi(z_c + w_c), sigma(z_o + w_o)
    (F4)  c = f * c' + i * g
    (F5)  h = o * phi(c)

and, with dh and dc what comes from later steps and from the output, its derivative is

    (B5)  do = dh * phi(c),  dc += phi'(c) (dh * o)
    (B4)  di = dc * g,  df = dc * c',  dg = dc * i,  dc' = dc * f
    (B3)  dz = sigma'(z_i) di, sigma'(z_f) df, phi'(z_c) dg, sigma'(z_o) do
    (B2)  dh' = sum_g n_g * (dz_g U_g^T),  dU_g = sum_bt (h' * n_g)^T dz_g
    (B1)  dx = sum_g m_g * (dz_g W_g^T),   dW_g = sum_bt (x * m_g)^T dz_g,  dw = sum_bt dz

A row of the batch whose mask is false at a step is carried over: h = h', c = c', dz = 0.

`Cell` is the door: `forward` and `backward` are its methods, and a `Stepper` of it goes by steps.
They take arrays as they are or raise an error that names what does not fit; they compute nothing
themselves. The engines behind them are C (`_engine/`): kernels of our own on packed weights or, for
a cell that brings a gemm (`_blas.GEMM`), BLAS. `_reference` is the same door in NumPy.
"""

from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_IsContiguous,
    PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.pyport cimport PY_SSIZE_T_MAX
from libc.stdlib cimport getenv
from libc.string cimport memcpy, memset, strcmp

from cylstm._engine cimport (
    LSTM_CACHE, LSTM_DONE, LSTM_EAGER_WORK, LSTM_GATES, LSTM_INTERRUPTED, LSTM_ISA_COUNT,
    LSTM_KEPT_FROM, LSTM_LEAST_WORK, LSTM_MOST_THREADS, int64_t, lstm_activation_count,
    lstm_activation_names, lstm_affine, lstm_affine_operations, lstm_affine_pack,
    lstm_affine_run, lstm_affine_work, lstm_arrays, lstm_backward, lstm_call, lstm_claim,
    lstm_classes, lstm_elementwise_count, lstm_flush_denormals, lstm_forward, lstm_gemm,
    lstm_give, lstm_kept, lstm_kernels, lstm_kernels_at, lstm_operations, lstm_pack,
    lstm_pack_operations, lstm_parallel, lstm_pool, lstm_pool_close, lstm_pool_enter,
    lstm_pool_free, lstm_pool_open, lstm_pool_serve, lstm_question, lstm_release, lstm_restore,
    lstm_settle, lstm_shape, lstm_stream, lstm_stream_close, lstm_stream_open, lstm_stream_step,
    lstm_sum_rows, lstm_take, lstm_times, lstm_update, lstm_update_run, lstm_weights, size_t,
    uint64_t,
)

import numpy


cdef const char* GEMM_NAME = b"cylstm._blas.GEMM"
cdef object ndarray = numpy.ndarray
cdef object numpy_empty = numpy.empty

# The numbers by which the engines know activations; those from ROWWISE on need whole rows.
ACTIVATIONS = {lstm_activation_names[i].decode(): i for i in range(lstm_activation_count)}
ROWWISE = lstm_elementwise_count

# Operations from which a call asks for threads. Tests lower them.
cdef double _least_work = LSTM_LEAST_WORK


# The instruction set ------------------------------------------------------------------------------

# Of float32 and of float64: asked once, as the question which CPU this is takes microseconds in a
# virtual machine.
cdef const lstm_kernels* _kernels[2]


def isas():
    """The instruction sets with kernels that this CPU runs, the best one last."""
    return [lstm_kernels_at(i, False).name.decode() for i in range(LSTM_ISA_COUNT)
            if lstm_kernels_at(i, False) != NULL]


def _choose_isa():
    """Choose the kernels: those named by CYLSTM_ISA, or else the best that this CPU runs."""
    cdef const char* name = getenv("CYLSTM_ISA")
    cdef bint given = name != NULL and name[0] != 0, found = False
    cdef int i
    for i in range(LSTM_ISA_COUNT):
        if (lstm_kernels_at(i, False) != NULL
                and (not given or strcmp(lstm_kernels_at(i, False).name, name) == 0)):
            _kernels[0], _kernels[1] = lstm_kernels_at(i, False), lstm_kernels_at(i, True)
            found = True
    if not found:
        raise ValueError(
            f"The environment variable CYLSTM_ISA is {name.decode('utf-8', 'replace')!r}. This CPU "
            f"runs {', '.join(isas())}: set it to one of these, or leave it unset for the best."
        )


_choose_isa()


def isa():
    """The instruction set of the kernels: one of `isas()`."""
    return _kernels[0].name.decode()


include "_resources.pxi"
include "_elements.pxi"
include "_buffers.pxi"


# The door -----------------------------------------------------------------------------------------


cdef int number_of(int activation, bint rowwise) except -1:
    """The number of an activation, if the engine has it."""
    if not 0 <= activation < lstm_activation_count:
        raise ValueError(f"{activation} is not the number of an activation in ACTIVATIONS")
    if activation >= lstm_elementwise_count and not rowwise:
        name = lstm_activation_names[activation].decode()
        raise ValueError(f"the fused kernels have no {name}: cylstm._blas computes it")
    return activation


cdef class Cell:
    """An LSTM cell, of one value of the weights, and its passes over whole sequences.

    Nothing of it changes, so threads may share it; two that pack at once do the same work twice.

    Parameters
    ----------
    kernel : ndarray, shape (input_dim, 4 units)
        float32 or float64: the precision of everything.
    recurrent_kernel : ndarray, shape (units, 4 units)
        In C order or, without a gemm, both transposes of arrays in C order; so are the gradients.
    bias : ndarray, shape (4 units,), or None
    own : ndarray, optional
        Further weights, which a variant of the cell alone reads; this one has none.
    activation, recurrent_activation : int
        Numbers of ACTIVATIONS.
    gemm : capsule, optional
        `cylstm._blas.GEMM`, for products by BLAS; without it they are those of our own kernels,
        which have no activations from ROWWISE on.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit together, or the engine does not know an activation.
    """

    cdef readonly object kernel, recurrent_kernel, bias, own
    cdef object gemm, dtype
    cdef Py_ssize_t item            # bytes of a number
    cdef lstm_call call             # what all calls have in common
    cdef Views views                # of the weights
    cdef void* packed[2]            # for the forward pass, and transposed for the backward pass

    def __cinit__(
        self, kernel not None, recurrent_kernel not None, bias, own=None, *, int activation,
        int recurrent_activation, gemm=None,
    ):
        cdef lstm_weights* weights = &self.call.weights
        cdef lstm_shape* shape = &self.call.shape
        cdef Py_ssize_t columns
        self.kernel, self.recurrent_kernel, self.bias = kernel, recurrent_kernel, bias
        self.own = own
        self.dtype = getattr(kernel, "dtype", None)
        self.item = 8 if self.dtype == "float64" else 4
        shape.inputs = self.rows_of("kernel", kernel)
        shape.units = self.rows_of("recurrent_kernel", recurrent_kernel)
        shape.activation = number_of(activation, gemm is not None)
        shape.recurrent_activation = number_of(recurrent_activation, gemm is not None)
        columns = lstm_times(LSTM_GATES, shape.units)
        shape.gates_first = (
            gemm is None and not (kernel.flags.c_contiguous and recurrent_kernel.flags.c_contiguous)
            and kernel.flags.f_contiguous and recurrent_kernel.flags.f_contiguous
        )
        weights.kernel = take(
            &self.views, "kernel", kernel, self.item, 2, shape.inputs, columns, 1, False,
            shape.gates_first,
        )
        weights.recurrent = take(
            &self.views, "recurrent_kernel", recurrent_kernel, self.item, 2, shape.units, columns,
            1, False, shape.gates_first,
        )
        weights.bias = take(&self.views, "bias", bias, self.item, 1, columns)
        self.call.kernels = _kernels[self.item == 8]
        self.call.arrays.own = take(
            &self.views, "own", own, self.item, 2, self.call.kernels.own_rows, shape.units
        )
        if gemm is not None:
            self.gemm = gemm
            weights.gemm = (<lstm_gemm*>PyCapsule_GetPointer(gemm, GEMM_NAME))[self.item == 8]

    cdef Py_ssize_t rows_of(self, str name, array) except -1:
        """How many rows a matrix of the weights has."""
        cdef Py_buffer* view = hold(&self.views, name, array, self.item)
        if view.ndim != 2:
            raise ValueError(f"{name} must have two axes, got the shape {array.shape}")
        return view.shape[0]

    def __dealloc__(self):
        lstm_give(self.packed[0])
        lstm_give(self.packed[1])
        let_go(&self.views)

    def __reduce__(self):
        raise TypeError("packed weights belong to one process and CPU: make the cell again")

    @property
    def input_dim(self):
        """The size of the inputs."""
        return self.call.shape.inputs

    @property
    def units(self):
        """The size of the states."""
        return self.call.shape.units

    @property
    def lanes(self):
        """How many neighbouring units are a block of a row of a table; 0 if there are no tables.

        Such a row, in place of bias + x W, has the gates of a block one after the other, then those
        of the next block, of which the last one may have fewer units, and zeros up to a multiple of
        `lanes`. A cell has no tables if its products are a gemm's, or its weights lie transposed.
        """
        return 0 if self.table_width() < 0 else self.call.kernels.lanes

    cdef Py_ssize_t table_width(self) noexcept:
        """How long a row of a table is, in whole vectors; -1 if there are no tables."""
        cdef Py_ssize_t lanes = self.call.kernels.lanes
        if self.gemm is not None or self.call.shape.gates_first:
            return -1
        return (LSTM_GATES * self.call.shape.units + lanes - 1) // lanes * lanes

    @property
    def packings(self):
        """Whether the weights are packed for the forward pass, and for the backward pass."""
        return self.packed[0] != NULL, self.packed[1] != NULL

    cdef int begin(self, lstm_call* call, bint transposed, pool) except -1:
        """Begin a call: the weights as the engine reads them, packed on first use."""
        cdef lstm_weights* packed
        call[0] = self.call
        if self.gemm is not None:
            return 0
        if self.packed[transposed] == NULL:
            packed = pack(call, pool, transposed)
            if lstm_settle(&self.packed[transposed], packed) != packed:
                lstm_give(packed)
        call.weights = (<lstm_weights*>self.packed[transposed])[0]
        return 0

    cdef int enter_inputs(
        self, Views* views, lstm_call* call, inputs, mask, states, input_masks, recurrent_masks
    ) except -1:
        """Enter the arrays that both passes read."""
        cdef lstm_shape* shape = &call.shape
        cdef lstm_arrays* arrays = &call.arrays
        cdef Py_ssize_t item = self.item
        if type(inputs) is tuple:
            self.enter_table(views, call, inputs)
        else:
            self.enter_array(views, call, inputs)
        arrays.mask = <unsigned char*>take(views, "mask", mask, 1, 2, shape.batch, shape.steps)
        if states is not None:
            if len(states) != 2:
                raise ValueError(f"the states are h and c, got {len(states)}")
            initial_h, initial_c = states
            arrays.initial_h = take(
                views, "initial_h", initial_h, item, 2, shape.batch, shape.units
            )
            arrays.initial_c = take(
                views, "initial_c", initial_c, item, 2, shape.batch, shape.units
            )
        arrays.input_masks = take_masks(
            views, "input_masks", input_masks, item, &shape.input_groups, shape.batch, shape.inputs
        )
        arrays.recurrent_masks = take_masks(
            views, "recurrent_masks", recurrent_masks, item, &shape.recurrent_groups, shape.batch,
            shape.units,
        )
        return 0

    cdef int enter_array(self, Views* views, lstm_call* call, inputs) except -1:
        """Enter inputs that are an array."""
        cdef lstm_shape* shape = &call.shape
        cdef lstm_arrays* arrays = &call.arrays
        cdef Py_ssize_t item = self.item
        cdef Py_buffer* x = hold(views, "inputs", inputs, item)
        if x.ndim != 3 or x.shape[2] != shape.inputs:
            raise ValueError(f"inputs has the shape {inputs.shape}, expected "
                             f"(batch, timesteps, {shape.inputs})")
        if x.len > 0 and (x.strides[2] != item and x.shape[2] > 1
                          or x.strides[1] % item or x.strides[0] % item):
            raise ValueError("the last axis of inputs is not contiguous")
        shape.batch, shape.steps = x.shape[0], x.shape[1]
        arrays.x = x.buf
        arrays.x_row_stride, arrays.x_step_stride = x.strides[0] // item, x.strides[1] // item
        return 0

    cdef int enter_table(self, Views* views, lstm_call* call, tuple inputs) except -1:
        """Enter inputs that are indices and the table in which they are looked up."""
        cdef lstm_shape* shape = &call.shape
        cdef lstm_arrays* arrays = &call.arrays
        cdef Py_buffer* indices
        cdef Py_buffer* table
        cdef Py_ssize_t i
        given, numbers = inputs
        indices = hold(views, "indices", given, INDEX)
        table = hold(views, "table", numbers, self.item)
        if indices.ndim != 2 or table.ndim != 2 or table.shape[1] != self.table_width():
            raise ValueError(f"indices and table have the shapes {given.shape}, {numbers.shape}")
        if not PyBuffer_IsContiguous(indices, b"C") or not PyBuffer_IsContiguous(table, b"C"):
            raise ValueError("indices or table is not C-contiguous")
        arrays.x, arrays.indices = table.buf, <const int64_t*>indices.buf
        for i in range(indices.len // 8):
            if not 0 <= arrays.indices[i] < table.shape[0]:
                raise ValueError(f"an index is not from 0 to below {table.shape[0]}")
        shape.batch, shape.steps, shape.inputs = indices.shape[0], indices.shape[1], 0
        call.weights.kernel = table.buf
        return 0

    cdef room(self, Views* views, void** address, int rank, Py_ssize_t n0, Py_ssize_t n1=1,
              Py_ssize_t n2=1):
        """A new array of this shape, and its address."""
        cdef int64_t size = lstm_times(lstm_times(lstm_times(n0, n1), n2), self.item)
        cdef tuple shape
        if rank == 1:
            shape = (n0,)
        elif rank == 2:
            shape = (n0, n1)
        else:
            shape = (n0, n1, n2)
        array = empty_of_size(shape, self.dtype, size)
        address[0] = hold(views, "a result", array, self.item, True).buf
        return array

    cdef matrix(self, Views* views, void** address, Py_ssize_t rows):
        """A new matrix of so many rows, in the order of the weights."""
        cdef Py_ssize_t columns = lstm_times(LSTM_GATES, self.call.shape.units)
        if self.call.shape.gates_first:
            return self.room(views, address, 2, columns, rows).T
        return self.room(views, address, 2, rows, columns)

    cdef Py_ssize_t cache_length(self, const lstm_call* call) noexcept:
        """How many numbers the cache has."""
        cdef int64_t pairs = lstm_times(call.shape.batch, call.shape.steps)
        return lstm_times(LSTM_CACHE, lstm_times(pairs, call.shape.units))

    cdef void cache_parts(self, lstm_call* call, void* cache) noexcept:
        """Enter the parts of the cache: gates, cells, hidden."""
        cdef int64_t size = call.shape.batch * call.shape.steps * call.shape.units * self.item
        call.arrays.gates = cache
        call.arrays.cells = <char*>cache + LSTM_GATES * size
        call.arrays.hidden = <char*>cache + (LSTM_GATES + 1) * size

    def forward(
        self,
        inputs,                 # IN  (batch, timesteps, input_dim), only its last axis contiguous;
                                #     or int64 (batch, timesteps) and a table, of whose rows, see
                                #     `lanes`, they are the numbers
        mask,                   # IN  (batch, timesteps) bool, or None
        states,                 # IN  h and c, (batch, units) each, or None for zeros
        input_masks,            # IN  (1 or 4, batch, input_dim) dropout, or None
        recurrent_masks,        # IN  (1 or 4, batch, units) dropout, or None
        bint go_backwards,
        bint zero_leading,
        bint sequence,          # whether the output of every timestep is wanted
        bint final_states,      # whether h and c are; without `sequence` h is in any case
        bint keep,              # whether `backward` will be called
        pool,                   # gives a Pool, or None for one thread; asked if there is work
    ):
        """Run the sequence: (F1) to (F5) of the module's notation.

        At a masked step the output is h'. With zero_leading the output of masked steps before the
        first live one is 0. The result of our own kernels has the same bits for any pool.

        Returns
        -------
        outputs, final_h, final_c, cache : ndarray or None
            (batch, timesteps, units) by step, (batch, units) twice, and what `backward` needs, as
            far as they are wanted. The cache is one array: the gates, (batch, timesteps, 4 units),
            0 at masked steps; c after each step and h before it, (batch, timesteps, units) each.

        Raises
        ------
        ValueError, TypeError, MemoryError
            If an array does not fit, an activation is unknown, or there is no memory.
        """
        cdef Views views
        cdef lstm_call call
        cdef Py_ssize_t batch, steps, units
        views.count = 0
        self.begin(&call, False, pool)
        try:
            self.enter_inputs(&views, &call, inputs, mask, states, input_masks, recurrent_masks)
            call.shape.go_backwards, call.shape.zero_leading = go_backwards, zero_leading
            batch, steps, units = call.shape.batch, call.shape.steps, call.shape.units
            outputs = final_h = final_c = cache = None
            if sequence:
                outputs = self.room(&views, &call.arrays.outputs, 3, batch, steps, units)
            if final_states or not sequence:
                final_h = self.room(&views, &call.arrays.final_h, 2, batch, units)
            if final_states:
                final_c = self.room(&views, &call.arrays.final_c, 2, batch, units)
            if keep:
                cache = self.room(&views, &call.arrays.gates, 1, self.cache_length(&call))
                self.cache_parts(&call, call.arrays.gates)
            run(&call, pool, lstm_forward)
            return outputs, final_h, final_c, cache
        finally:
            let_go(&views)

    def backward(
        self,
        inputs,                 # IN  as for `forward`, like the next seven
        mask,
        states,
        input_masks,
        recurrent_masks,
        bint go_backwards,
        bint zero_leading,
        pool,
        *,
        cache not None,         # IN  of `forward`
        d_outputs,              # IN  (batch, timesteps, units), None for zeros
        d_final_h,              # IN  (batch, units), None for zeros
        d_final_c,              # IN  (batch, units), None for zeros
        bint d_states,          # whether the gradients of the initial states are wanted
        bint d_inputs=True,     # whether those of the inputs are
        bint d_weights=True,    # whether those of all weights are
    ):
        """Back-propagate through the sequence: (B5) to (B1) of the module's notation.

        Returns
        -------
        list of ndarray
            The gradients of the inputs, of both initial states, of the kernel, the recurrent
            kernel and the bias (None without one), and of the cell's own weights if it has some;
            None if they are not wanted. With a table the first one is that of its rows, (rows, 4
            units), its columns as those of the kernel, for which there is None.

        Raises
        ------
        ValueError, TypeError, MemoryError
            As for `forward`.
        """
        cdef Views views
        cdef lstm_call call
        cdef lstm_arrays* arrays = &call.arrays
        cdef Py_ssize_t batch, steps, units = self.call.shape.units
        cdef Py_ssize_t width = self.call.shape.inputs, columns = lstm_times(LSTM_GATES, units)
        views.count = 0
        self.begin(&call, True, pool)
        try:
            self.enter_inputs(&views, &call, inputs, mask, states, input_masks, recurrent_masks)
            call.shape.go_backwards, call.shape.zero_leading = go_backwards, zero_leading
            batch, steps = call.shape.batch, call.shape.steps
            self.cache_parts(
                &call, take(&views, "cache", cache, self.item, 1, self.cache_length(&call))
            )
            arrays.d_outputs = take(
                &views, "d_outputs", d_outputs, self.item, 3, batch, steps, units
            )
            arrays.d_final_h = take(&views, "d_final_h", d_final_h, self.item, 2, batch, units)
            arrays.d_final_c = take(&views, "d_final_c", d_final_c, self.item, 2, batch, units)
            d_x = d_h = d_c = d_kernel = d_recurrent_kernel = d_bias = None
            if d_weights and arrays.indices != NULL:
                d_x = self.room(&views, &arrays.d_kernel, 2, len(inputs[1]), columns)
                d_x.fill(0)
            elif d_inputs and arrays.indices == NULL:
                d_x = self.room(&views, &arrays.d_inputs, 3, batch, steps, width)
            if d_states:
                d_h = self.room(&views, &arrays.d_initial_h, 2, batch, units)
                d_c = self.room(&views, &arrays.d_initial_c, 2, batch, units)
            if d_weights:
                if arrays.indices == NULL:
                    d_kernel = self.matrix(&views, &arrays.d_kernel, width)
                d_recurrent_kernel = self.matrix(&views, &arrays.d_recurrent_kernel, units)
                if self.bias is not None:
                    d_bias = self.room(&views, &arrays.d_bias, 1, columns)
            gradients = [d_x, d_h, d_c, d_kernel, d_recurrent_kernel, d_bias]
            if self.own is not None:
                d_own = self.room(&views, &arrays.d_own, 3, batch, len(self.own), units)
                d_own.fill(0)
            run(&call, pool, lstm_backward)
            return gradients if self.own is None else [*gradients, d_own.sum(axis=0)]
        finally:
            let_go(&views)


include "_steppers.pxi"
include "_affine.pxi"
include "_updates.pxi"
include "_classes.pxi"
