# Arrays as raw buffers, checked by name: eighteen typed views take 4 microseconds a call, these 1.
# For `_core`.

cdef enum:
    MOST_VIEWS = 17
    INDEX = -8  # the item of an array of int64


cdef struct Views:
    # The arrays of a call, held until `let_go`.
    Py_buffer view[MOST_VIEWS]
    int count


cdef void let_go(Views* views) noexcept:
    while views.count > 0:
        views.count -= 1
        PyBuffer_Release(&views.view[views.count])


cdef wrong_dtype(str name, array, Py_ssize_t item):
    expected = {4: "float32", 8: "float64", INDEX: "int64"}.get(item, "bool")
    return ValueError(f"{name} has the dtype {array.dtype}, expected {expected}")


cdef Py_buffer* hold(
    Views* views, str name, array, Py_ssize_t item, bint written=False
) except NULL:
    """The buffer of an array of native, aligned float (item 4), double (8), bool (1) or int64."""
    cdef Py_buffer* view = &views.view[views.count]
    cdef const char* format = b"f" if item == 4 else b"d" if item == 8 else b"?"
    if item == INDEX:
        item, format = 8, INT64
    if views.count == MOST_VIEWS:
        raise RuntimeError("MOST_VIEWS is too small")
    if type(array) is not ndarray:  # a subclass may mean something else by its numbers
        raise TypeError(f"{name} must be an array, got {type(array).__name__}")
    try:
        PyObject_GetBuffer(
            array, view, PyBUF_STRIDES | PyBUF_FORMAT | (PyBUF_WRITABLE if written else 0)
        )
    except (BufferError, ValueError):  # read-only, or of a dtype that has no buffers
        if written and not array.flags.writeable:
            raise ValueError(f"{name} is read-only") from None
        raise wrong_dtype(name, array, item) from None
    views.count += 1
    if view.itemsize != item or strcmp(view.format, format) != 0:
        raise wrong_dtype(name, array, item)
    if <size_t>view.buf % <size_t>item:
        raise ValueError(f"{name} is not aligned")
    return view


cdef void* take(
    Views* views, str name, array, Py_ssize_t item, int rank, Py_ssize_t n0, Py_ssize_t n1=1,
    Py_ssize_t n2=1, bint written=False, bint turned=False,
) except? NULL:
    """The address of an array of this type and shape in C order, or turned in that of Fortran.

    NULL for None.
    """
    cdef Py_ssize_t[3] shape = [n0, n1, n2]
    cdef Py_ssize_t stride = item if item > 0 else -item
    cdef Py_buffer* view
    cdef bint contiguous = True
    cdef int axis, i
    if array is None:
        return NULL
    view = hold(views, name, array, item, written)
    for i in range(rank):
        axis = i if turned else rank - 1 - i
        if view.ndim != rank or view.shape[axis] != shape[axis]:
            expected = (n0, n1, n2)[:rank]
            raise ValueError(f"{name} has the shape {array.shape}, expected {expected}")
        contiguous = contiguous and (view.strides[axis] == stride or shape[axis] <= 1)
        stride *= shape[axis]
    if not contiguous and view.len > 0:
        raise ValueError(f"{name} is not C-contiguous")
    return view.buf


cdef const void* take_masks(
    Views* views, str name, masks, Py_ssize_t item, int* groups, Py_ssize_t batch, Py_ssize_t width
) except? NULL:
    """Dropout masks (1 or 4, batch, width), and for how many groups of gates they are."""
    if masks is None:
        return NULL
    groups[0] = 1 if getattr(masks, "shape", ())[:1] == (1,) else LSTM_GATES
    return take(views, name, masks, item, 3, groups[0], batch, width)
