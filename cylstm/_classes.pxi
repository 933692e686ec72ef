# Rows of probabilities of classes, for losses and for Dense. For `_core`.


# What `_engine/engine.h` says of lstm_classes: p (rows, n), numbers (rows) of the true classes or,
# instead of them, dp (rows, n); out (rows, n) or, unless whole, (rows). All but numbers: one dtype.
def classes(bint is_double, Py_ssize_t n, bint whole, p, numbers, dp, double least, out, /):
    cdef const char* real = b"d" if is_double else b"f"
    cdef void* of_p
    cdef void* of_dp = NULL
    cdef void* of_numbers = NULL
    cdef void* of_out
    cdef Py_ssize_t size = elements(&of_p, p, real), rows = size // n if n > 0 else 0, i
    elements(&of_out, out, real, size if whole else rows, True)
    if dp is None:
        elements(&of_numbers, numbers, INT64, rows)
    else:
        elements(&of_dp, dp, real, size if whole else -2)
    for i in range(0 if of_numbers == NULL else rows):
        if not 0 <= (<int64_t*>of_numbers)[i] < n:
            raise ValueError("a class is out of range")
    lstm_classes(is_double, rows, n, of_p, <int64_t*>of_numbers, of_dp, least, whole, of_out)
