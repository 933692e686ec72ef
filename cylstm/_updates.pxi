# Updates of variables by optimizers, and gradients of which few rows are not zero. For `_core`.

# Elements from which an update is shared by threads: some 20 microseconds of work.
cdef Py_ssize_t _least_elements = 65536


def update(list updates not None, Pool pool):
    """Compute updates of variables, one each, as `_engine/update.h` says; all of them or none.

    With the GIL held: no signal handler and no other thread sees some of it done.

    Parameters
    ----------
    updates : list of tuple
        Of the gradient; the indices, ascending int64, of the only rows that it has, or None; w, or
        None for zeros; the slots and the new slots, tuples of m and v; w'; factors, an array of 8.
        New slots may be the slots; without m or v they are None, and their part is left out.
    pool : Pool or None
        For its threads, where there is work for them.

    Raises
    ------
    ValueError, TypeError, MemoryError
        If the arrays do not fit together, or there is no memory; nothing is changed.
    """
    cdef Py_ssize_t count = len(updates), i, row, rows, total = 0
    cdef lstm_update* jobs = <lstm_update*>lstm_take((count + 1) * sizeof(lstm_update))
    cdef lstm_update* u
    cdef void* factors
    cdef const char* real
    cdef int slot
    if jobs == NULL:
        raise MemoryError("no memory for updates")
    memset(jobs, 0, (count + 1) * sizeof(lstm_update))
    try:
        for i in range(count):
            u = &jobs[i]
            gradient, indices, value, slots, new_slots, out, numbers = updates[i]
            real = b"d" if out.itemsize == 8 else b"f"
            u.kernels = _kernels[real[0] == b"d"]
            u.size = elements(&u.out, out, real, -1, True)
            u.width, rows = 1, u.size
            if indices is not None:
                rows, u.width = out.shape
                u.count = elements(<void**>&u.indices, indices, INT64)
                for row in range(u.count):
                    if not (u.indices[row - 1] if row else -1) < u.indices[row] < rows:
                        raise ValueError(f"indices do not ascend from 0 to below {rows}")
                rows = u.count
            elements(<void**>&u.gradient, gradient, real, rows * u.width)
            if value is not None:
                elements(<void**>&u.value, value, real, u.size)
            for slot in range(2):
                if slots[slot] is not None:
                    elements(<void**>&u.slots[slot], slots[slot], real, u.size)
                    elements(&u.new_slots[slot], new_slots[slot], real, u.size, True)
            elements(&factors, numbers, b"d", 8)
            memcpy(u.factors, factors, sizeof(u.factors))
            total += u.size
        if pool is None or total < _least_elements:
            lstm_update_run(jobs, count, NULL, 1)
        else:
            lstm_update_run(jobs, count, pool.pool, pool.threads)
    finally:
        lstm_give(jobs)


def sum_rows(indices, rows, Py_ssize_t size):
    """Add up rows (count, width) of the same of `size` indices, in their order, from 0 on.

    Returns
    -------
    ndarray of int64, ndarray
        The indices that there are, ascending, and the sums of their rows.

    Raises
    ------
    ValueError, MemoryError
        If an array does not fit or an index is out of range, or there is no memory.
    """
    cdef const char* real = b"d" if rows.itemsize == 8 else b"f"
    cdef void* place
    cdef void* given
    cdef void* of_rows
    cdef void* unique
    cdef void* sums
    cdef Py_ssize_t count = elements(&given, indices, INT64), i, width
    width = rows.shape[1]
    elements(&of_rows, rows, real, count * width)
    for i in range(count):
        if not 0 <= (<int64_t*>given)[i] < size:
            raise ValueError(f"an index is not from 0 to below {size}")
    found, added = numpy_empty(count, indices.dtype), empty((count, width), rows.dtype)
    elements(&unique, found, INT64, count, True)
    elements(&sums, added, real, -1, True)
    place = lstm_take(lstm_times(size + 1, 8))
    if place == NULL:
        raise MemoryError(f"no memory for {size} places")
    count = lstm_sum_rows(
        real[0] == b"d", size, count, width, <int64_t*>given, of_rows, <int64_t*>place,
        <int64_t*>unique, sums,
    )
    lstm_give(place)
    return found[:count], added[:count]


def set_least_elements(Py_ssize_t elements):
    """Let updates of fewer elements stay on one thread; returns the number before."""
    global _least_elements
    before, _least_elements = _least_elements, elements
    return before
