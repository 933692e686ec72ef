"""What Cython sees of `_engine/`, the compiled engines, which are C and know no Python."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t


cdef extern from "_engine/engine.h" nogil:
    enum:
        LSTM_GATES
        LSTM_CACHE
        LSTM_DONE
        LSTM_INTERRUPTED
        LSTM_LEAST_WORK
        LSTM_EAGER_WORK
        lstm_elementwise_count
        lstm_activation_count
    const char* const* lstm_activation_names

    ctypedef struct lstm_shape:
        int64_t batch, steps, inputs, units
        int activation, recurrent_activation
        int go_backwards, zero_leading
        int input_groups, recurrent_groups
        int gates_first

    ctypedef struct lstm_arrays:
        const void *x, *initial_h, *initial_c, *input_masks, *recurrent_masks, *own
        int64_t x_row_stride, x_step_stride
        const int64_t* indices
        const uint8_t* mask
        void *gates, *cells, *hidden, *outputs, *final_h, *final_c
        const void *d_outputs, *d_final_h, *d_final_c
        void *d_inputs, *d_initial_h, *d_initial_c, *d_kernel, *d_recurrent_kernel, *d_bias, *d_own

    ctypedef void (*lstm_gemm)(
        int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, const void* a,
        int64_t lda, const void* b, int64_t ldb, int add, void* c, int64_t ldc,
    ) noexcept nogil

    ctypedef struct lstm_weights:
        const void *kernel, *recurrent, *bias
        lstm_gemm gemm

    ctypedef struct lstm_kernels:
        const char* name
        int64_t lanes, own_rows
        size_t item
        void (*activate)(int activation, int64_t n, const void* x, void* y) noexcept nogil

    ctypedef struct lstm_affine:
        const lstm_kernels* kernels
        int64_t features, size, columns
        int activation
        const void *matrix
        int64_t batch, steps, count, stride, dilation, before
        const void* x
        int64_t x_row_stride, x_step_stride, y_row_stride
        void* outputs

    ctypedef struct lstm_call:
        const lstm_kernels* kernels
        lstm_shape shape
        lstm_arrays arrays
        lstm_weights weights

    ctypedef struct lstm_stream:
        pass

    ctypedef int (*lstm_question)() noexcept nogil
    const lstm_kernels* lstm_kernels_at(int index, int is_double) noexcept
    double lstm_operations(const lstm_shape* shape) noexcept
    lstm_weights* lstm_pack(
        const lstm_kernels* kernels, const lstm_shape* shape, const lstm_weights* given,
        int transposed, lstm_pool* pool, int threads,
    ) noexcept
    double lstm_pack_operations(const lstm_shape* shape) noexcept
    # LSTM_INTERRUPTED: the question has left an exception
    int lstm_forward(
        const lstm_call* call, lstm_pool* pool, int threads, lstm_question interrupted
    ) noexcept
    int lstm_backward(
        const lstm_call* call, lstm_pool* pool, int threads, lstm_question interrupted
    ) noexcept
    lstm_stream* lstm_stream_open(const lstm_call* call, int threads) noexcept
    void lstm_stream_step(
        lstm_stream* stream, const void* x, int64_t row_stride, lstm_pool* pool
    ) noexcept
    void lstm_stream_close(lstm_stream* stream) noexcept
    int lstm_affine_pack(lstm_affine* call, const void* matrix, const void* bias) noexcept
    double lstm_affine_operations(const lstm_affine* call) noexcept
    int64_t lstm_affine_work(const lstm_affine* call, int threads) noexcept
    void lstm_affine_run(
        const lstm_affine* call, void* work, lstm_pool* pool, int threads
    ) noexcept
    ctypedef struct lstm_update:
        const lstm_kernels* kernels
        int64_t size
        const int64_t* indices
        int64_t count, width
        const void *gradient, *value
        const void* slots[2]
        void* new_slots[2]
        void* out
        double factors[8]

    void lstm_update_run(
        const lstm_update* updates, int count, lstm_pool* pool, int threads
    ) noexcept
    int64_t lstm_sum_rows(
        int is_double, int64_t size, int64_t count, int64_t width, const int64_t* indices,
        const void* rows, int64_t* place, int64_t* unique, void* sums,
    ) noexcept
    void lstm_classes(
        int is_double, int64_t rows, int64_t classes, const void* p, const int64_t* numbers,
        const void* dp, double least, int whole, void* out,
    ) noexcept
    uint64_t lstm_flush_denormals() noexcept
    void lstm_restore(uint64_t saved) noexcept


cdef extern from "_engine/isa/list.h" nogil:
    enum:
        LSTM_ISA_COUNT


cdef extern from "_engine/sizes.h" nogil:
    int64_t lstm_times(int64_t a, int64_t b) noexcept


cdef extern from "_engine/memory.h" nogil:
    size_t LSTM_KEPT_FROM
    void* lstm_take(int64_t size) noexcept
    void lstm_give(void* memory) noexcept
    size_t lstm_kept() noexcept


cdef extern from "_engine/claim.h" nogil:
    int lstm_claim(char* flag) noexcept
    void lstm_release(char* flag) noexcept
    void* lstm_settle(void** place, void* value) noexcept


cdef extern from "_engine/threads.h" nogil:
    enum:
        LSTM_MOST_THREADS

    ctypedef struct lstm_pool:
        pass

    ctypedef void (*lstm_parallel)(
        void (*job)(void* context) noexcept, void* context, unsigned threads, unsigned flags
    ) noexcept nogil
    lstm_pool* lstm_pool_open(lstm_parallel parallel, int threads) noexcept
    void lstm_pool_enter(
        lstm_pool* pool, void (*job)(void* context) noexcept, void* context, int eager
    ) noexcept
    void lstm_pool_serve(lstm_pool* pool) noexcept
    void lstm_pool_close(lstm_pool* pool) noexcept
    void lstm_pool_free(lstm_pool* pool) noexcept
