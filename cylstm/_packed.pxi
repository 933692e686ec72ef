# Packed weights, and what runs from them with little ado. Included by `_core`.

# Packed weights -----------------------------------------------------------------------------------


cdef class PackedWeights:
    """Weights in the order in which the fused kernels read them. It never changes.

    `pack_weights` makes one: for the forward pass of the weights themselves, for the backward pass
    of their transposes.
    """

    cdef const lstm_kernels* kernels
    cdef readonly Py_ssize_t input_dim
    cdef readonly Py_ssize_t units
    cdef readonly bint transposed
    cdef char* block
    cdef char* kernel
    cdef char* recurrent
    cdef char* bias                 # not in transposes

    def __dealloc__(self):
        lstm_give(self.block)

    def __reduce__(self):
        raise TypeError("packed weights belong to one process and CPU: pack the weights again")


def pack_weights(
    *,
    const real[:, ::1] kernel not None,                 # IN  (input_dim, 4 units)
    const real[:, ::1] recurrent_kernel not None,       # IN  (units, 4 units)
    const real[::1] bias,                               # IN  (4 units)
    bint transposed,
):
    """Pack weights for `lstm_forward`, or their transposes for `lstm_backward`."""
    cdef PackedWeights packed = PackedWeights.__new__(PackedWeights)
    cdef const lstm_kernels* kernels = kernels_of(<real>0)
    cdef Py_ssize_t input_dim = kernel.shape[0], units = recurrent_kernel.shape[0]
    cdef Py_ssize_t columns = lstm_times(4, units)
    cdef int64_t kernel_size, recurrent_size, bias_size = 0
    expect("kernel", &kernel.shape[0], 2, input_dim, columns)
    expect("recurrent_kernel", &recurrent_kernel.shape[0], 2, units, columns)
    if bias is not None:
        expect("bias", &bias.shape[0], 1, columns)
    packed.kernels = kernels
    packed.input_dim = input_dim
    packed.units = units
    packed.transposed = transposed
    if transposed:
        kernel_size = lines_of(kernels.columns_size(input_dim, columns), sizeof(real))
        recurrent_size = lines_of(kernels.columns_size(units, columns), sizeof(real))
    else:
        kernel_size = lines_of(kernels.gates_size(input_dim, units), sizeof(real))
        recurrent_size = lines_of(kernels.gates_size(units, units), sizeof(real))
        bias_size = lines_of(kernels.gates_size(1, units), sizeof(real))
    packed.block = <char*>allocate(lstm_plus(lstm_plus(kernel_size, recurrent_size), bias_size))
    packed.kernel = packed.block
    packed.recurrent = packed.kernel + kernel_size
    packed.bias = packed.recurrent + recurrent_size
    with nogil:
        if transposed:
            kernels.pack_columns(input_dim, columns, &kernel[0, 0], packed.kernel)
            kernels.pack_columns(units, columns, &recurrent_kernel[0, 0], packed.recurrent)
        else:
            kernels.pack_gates(input_dim, units, &kernel[0, 0], packed.kernel)
            kernels.pack_gates(units, units, &recurrent_kernel[0, 0], packed.recurrent)
            kernels.pack_gates(1, units, <const void*>NULL if bias is None else
                               <const void*>&bias[0], packed.bias)
    return packed


cdef inline int64_t lines_of(int64_t count, int64_t item) noexcept:
    """The bytes of so many numbers in whole cache lines."""
    return lstm_lines(lstm_times(count, item))
