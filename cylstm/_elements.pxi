# Functions of each element, of arrays of any shape: for optimizers and tests. For `_core`.

cdef int take_elements(
    Views* views, void** address, Py_ssize_t* size, first, second, written
) except -1:
    """The addresses of three arrays of one size and dtype; returns whether they are of double."""
    cdef Py_buffer* view
    cdef bint fits = True
    cdef int i
    for i, array in enumerate((first, second, written)):  # numbers of NumPy are such arrays too
        view = &views.view[i]
        fits = PyObject_CheckBuffer(array)
        if fits:
            try:
                PyObject_GetBuffer(
                    array, view, PyBUF_STRIDES | PyBUF_FORMAT | (PyBUF_WRITABLE if i == 2 else 0)
                )
                views.count += 1
                fits = (
                    (strcmp(view.format, b"f") == 0 or strcmp(view.format, b"d") == 0)
                    and PyBuffer_IsContiguous(view, b"C") and view.len == views.view[0].len
                    and view.itemsize == views.view[0].itemsize
                )
            except (BufferError, ValueError):
                fits = False
        if not fits:
            raise ValueError("expected arrays in C order, of one size, all float32 or all float64, "
                             "the last one writable")
        address[i] = view.buf
    size[0] = view.len // view.itemsize
    return view.itemsize == 8


def activate(int activation, x not None, y not None):
    """y = activation(x), as the kernels compute it: of arrays of one shape and dtype."""
    cdef Views views
    cdef void* address[3]
    cdef Py_ssize_t size
    cdef const lstm_kernels* kernels
    cdef uint64_t saved
    views.count = 0
    if not 0 <= activation < lstm_elementwise_count:
        raise ValueError(f"{activation} is not the number of an activation of single numbers")
    if x.shape != y.shape:
        raise ValueError(f"y has the shape {y.shape}, expected {x.shape}")
    try:
        kernels = _kernels[take_elements(&views, address, &size, x, x, y)]
        with nogil:
            saved = lstm_flush_denormals()
            kernels.activate(activation, size, address[0], address[2])
            lstm_restore(saved)
    finally:
        let_go(&views)


def average(old, new, double rate, out, bint squares=False):
    """out = rate old + (1 - rate) new, or of the squares of `new`.

    The arrays are of one size and dtype, float32 or float64, and in C order, or a ValueError is
    raised; `out` may be one of the others.
    """
    cdef Views views
    cdef void* address[3]
    cdef Py_ssize_t size
    cdef bint is_double
    views.count = 0
    try:
        is_double = take_elements(&views, address, &size, old, new, out)
        with nogil:
            lstm_average(is_double, size, address[0], address[1], rate, squares, address[2])
    finally:
        let_go(&views)


def divide_by_root(a, squares, double scale, double epsilon, out):
    """out = scale a / (sqrt(squares) + epsilon), of such arrays as `average` takes."""
    cdef Views views
    cdef void* address[3]
    cdef Py_ssize_t size
    cdef bint is_double
    views.count = 0
    try:
        is_double = take_elements(&views, address, &size, a, squares, out)
        with nogil:
            lstm_divide_by_root(
                is_double, size, address[0], address[1], scale, epsilon, address[2]
            )
    finally:
        let_go(&views)
