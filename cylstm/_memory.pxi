# Memory that large arrays and work space use again. Included by `_core`.

# From so many bytes on the memory of an array is used again.
LARGE = LSTM_KEPT_FROM


cdef class Block:
    """Memory for an array, which is used again for others when nobody needs it any more.

    Parameters
    ----------
    size : int
        How many bytes; they hold anything. As a buffer it has so many of them.
    """

    cdef void* memory
    cdef Py_ssize_t size

    def __cinit__(self, Py_ssize_t size):
        self.size = size
        self.memory = allocate(max(0, size))

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
    """
    cdef Py_ssize_t length
    cdef double size = dtype.itemsize
    for length in shape:
        size *= length
    return empty_of_size(shape, dtype, size)


cdef empty_of_size(shape, dtype, double size):
    """`empty`, of so many bytes."""
    if size < LSTM_KEPT_FROM:
        return _numpy_empty(shape, dtype)
    return ndarray(shape, dtype, Block(<Py_ssize_t>size))


def kept_bytes():
    """How many bytes of memory wait to be used again."""
    return lstm_kept()
