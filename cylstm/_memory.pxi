# Memory that large arrays and work space use again. Included by `_core`.

# From so many bytes on the memory of an array is used again.
LARGE = LSTM_KEPT_FROM


cdef void* take_memory(int64_t size) except NULL nogil:
    """See `_core.pxd`."""
    return allocate(size)


cdef void give_memory(void* memory) noexcept nogil:
    """See `_core.pxd`."""
    lstm_give(memory)


cdef class Block:
    """Memory for an array, which is used again for others when nobody needs it any more.

    Parameters
    ----------
    size : int
        How many bytes; they hold anything. As a buffer it has so many of them.

    Raises
    ------
    ValueError, MemoryError
        For a negative size, or one that there is no memory for.
    """

    cdef void* memory
    cdef Py_ssize_t size

    def __cinit__(self, size):
        if size < 0:
            raise ValueError(f"a block has at least 0 bytes, got {size}")
        self.size = length_of(size)
        self.memory = allocate(self.size)

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

    Raises
    ------
    ValueError, MemoryError
        For a negative length, or a size that there is no memory for.
    """
    cdef int64_t size = dtype.itemsize
    for length in shape:
        size = lstm_times(size, length_of(length))
    return empty_of_size(shape, dtype, size)


cdef Py_ssize_t length_of(number) except? -1:
    """An integer as a size; MemoryError where no array is so long."""
    if number > PY_SSIZE_T_MAX:
        raise MemoryError(f"no memory for {number} elements")
    return number


cdef empty_of_size(shape, dtype, int64_t size):
    """`empty`, of so many bytes."""
    if size < <int64_t>LSTM_KEPT_FROM:
        return _numpy_empty(shape, dtype)
    return ndarray(shape, dtype, Block(size))


def kept_bytes():
    """How many bytes of memory wait to be used again."""
    return lstm_kept()
