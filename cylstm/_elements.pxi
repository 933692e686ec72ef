# Functions of each element, of arrays of any shape: for optimizers and tests. For `_core`.

cdef int take_elements(
    Views* views, void** address, Py_ssize_t* size, first, second, written
) except -1:
    """The addresses of three arrays in C order, of one size and dtype; returns whether double."""
    cdef Py_ssize_t item = 8 if getattr(first, "dtype", None) == "float64" else 4
    cdef Py_buffer* view
    cdef int i
    for i, array in enumerate((first, second, written)):
        view = hold(views, ("the first array", "the second array", "out")[i], array, item, i == 2)
        if not PyBuffer_IsContiguous(view, b"C") or (i > 0 and view.len != views.view[0].len):
            raise ValueError("expected arrays in C order, and of one size")
        address[i] = view.buf
    size[0] = view.len // item
    return item == 8


def activate(int activation, x, y):
    """y = activation(x), as the kernels compute it: of 1-D arrays of one size and dtype."""
    cdef Views views
    cdef void* address[3]
    cdef Py_ssize_t size
    cdef const lstm_kernels* kernels
    cdef uint64_t saved
    views.count = 0
    number_of(activation, False)
    try:
        kernels = lstm_kernels_at(_isa, take_elements(&views, address, &size, x, x, y))
        with nogil:
            saved = lstm_flush_denormals()
            kernels.activate(activation, size, address[0], address[2])
            lstm_restore(saved)
    finally:
        let_go(&views)


def average(old, new, double rate, out, bint squares=False):
    """out = rate old + (1 - rate) new, or of the squares of `new`.

    Parameters
    ----------
    old, new, out : ndarray
        Of one size and dtype, float32 or float64, and in C order; `out` may be one of the others.
    rate : float
        How much of `old` is kept.
    squares : bool, default False
        Whether to average the squares of `new`.

    Raises
    ------
    ValueError, TypeError
        If the arrays are of other kinds.
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
    """out = scale a / (sqrt(squares) + epsilon).

    Parameters
    ----------
    a, squares, out : ndarray
        Of one size and dtype, float32 or float64, and in C order; `out` may be one of the others.
    scale, epsilon : float
        Of the formula.

    Raises
    ------
    ValueError, TypeError
        If the arrays are of other kinds.
    """
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
