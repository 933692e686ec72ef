# Arrays of any shape, as so many elements. For `_core`.

# The format of int64 in buffers: that of a type which is as long, "l" or "q".
cdef bytes _int64 = memoryview(numpy.empty(0, "int64")).format.encode()
cdef const char* INT64 = _int64


cdef Py_ssize_t elements(
    void** address, array, const char* format, Py_ssize_t count=-1, bint written=False
) except -1:
    """The address of an array in C order, and how many elements it has: `count`, if that is given.

    It is held by nobody: good while the caller has the array, and the GIL.
    """
    cdef Py_buffer view
    cdef Py_ssize_t found
    PyObject_GetBuffer(
        array, &view, PyBUF_STRIDES | PyBUF_FORMAT | (PyBUF_WRITABLE if written else 0)
    )
    address[0] = view.buf
    found = view.len // view.itemsize
    if (view.itemsize != (4 if format[0] == b"f" else 8) or strcmp(view.format, format) != 0
            or not PyBuffer_IsContiguous(&view, b"C") or count not in (-1, found)):
        found = -1
    PyBuffer_Release(&view)
    if found < 0:
        raise ValueError(f"an array of {array.dtype} and the shape {array.shape} does not fit")
    return found


def activate(int activation, x not None, y not None):
    """y = activation(x), as the kernels compute it: of arrays of one shape and dtype."""
    cdef const char* real = b"d" if x.itemsize == 8 else b"f"
    cdef const lstm_kernels* kernels = _kernels[real[0] == b"d"]
    cdef void* given
    cdef void* written
    cdef Py_ssize_t size
    cdef uint64_t saved
    if not 0 <= activation < lstm_elementwise_count:
        raise ValueError(f"{activation} is not the number of an activation of single numbers")
    if x.shape != y.shape:
        raise ValueError(f"y has the shape {y.shape}, expected {x.shape}")
    size = elements(&given, x, real)
    elements(&written, y, real, size, True)
    saved = lstm_flush_denormals()
    kernels.activate(activation, size, given, written)
    lstm_restore(saved)
