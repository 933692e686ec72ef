"""What `_core` lends to `_blas`: memory for work space, so that both use the same blocks again."""

from cylstm._kernels cimport int64_t


cdef void* take_memory(int64_t size) except NULL nogil
cdef void give_memory(void* memory) noexcept nogil
