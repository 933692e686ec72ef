"""What the core sees of the fused kernels, of memory and of the pool of threads, all in C."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t


cdef extern from "_simd/lstm.h" nogil:
    enum:
        LSTM_ACTIVATIONS

    ctypedef struct lstm_problem:
        int64_t batch, steps, inputs, units
        int64_t begin, end
        int64_t from_ "from"
        int activation, recurrent_activation
        int go_backwards, zero_leading
        int odd
        const void* x
        int64_t x_row_stride, x_step_stride
        const void* kernel_pack
        const void* recurrent_pack
        const void* bias_pack
        const void* transposed_pack
        const void* initial_h
        const void* initial_c
        const uint8_t* mask
        const int64_t* order
        const void* input_masks
        const void* recurrent_masks
        int input_groups, recurrent_groups
        void* outputs
        void* final_h
        void* final_c
        void* gates
        void* cells
        void* hidden
        const void* d_outputs
        const void* d_final_h
        const void* d_final_c
        void* dz
        void* d_initial_h
        void* d_initial_c
        int skip_initial
        const void* kernel_transposed_pack
        int add_gradients
        void* d_kernel
        void* d_recurrent_kernel
        void* d_bias
        void* d_inputs

    ctypedef struct lstm_team:
        int members, arrived, generation, leave, apart

    ctypedef struct lstm_kernels:
        const char* name
        int64_t lanes
        size_t item
        int64_t (*gates_size)(int64_t depth, int64_t units) noexcept nogil
        void (*pack_gates)(
            int64_t depth, int64_t units, const void* source, void* to
        ) noexcept nogil
        int64_t (*columns_size)(int64_t columns, int64_t depth) noexcept nogil
        void (*pack_columns)(
            int64_t columns, int64_t depth, const void* source, void* to
        ) noexcept nogil
        int64_t (*forward_work)(const lstm_problem* p, int64_t rows, int members) noexcept nogil
        int64_t (*backward_work)(const lstm_problem* p, int64_t rows, int members) noexcept nogil
        int64_t (*weight_gradients_work)(const lstm_problem* p) noexcept nogil
        int64_t (*forward)(
            const lstm_problem* p, int64_t first, int64_t rows, void* work, lstm_team* team,
            int member,
        ) noexcept nogil
        int64_t (*backward)(
            const lstm_problem* p, int64_t first, int64_t rows, void* work, lstm_team* team,
            int member,
        ) noexcept nogil
        void (*weight_gradients)(
            const lstm_problem* p, int64_t column, int64_t columns, void* work,
        ) noexcept nogil
        void (*input_gradients)(const lstm_problem* p, int64_t first, int64_t pairs) noexcept nogil
        void (*activate)(int activation, int64_t n, const void* x, void* y) noexcept nogil

    const lstm_kernels* lstm_find_kernels(const char* name, int is_double) noexcept
    uint64_t lstm_flush_denormals() noexcept
    void lstm_restore(uint64_t saved) noexcept


cdef extern from "_simd/sizes.h" nogil:
    int64_t lstm_times(int64_t a, int64_t b) noexcept
    int64_t lstm_plus(int64_t a, int64_t b) noexcept
    int64_t lstm_lines(int64_t size) noexcept


cdef extern from "_simd/memory.h" nogil:
    size_t LSTM_KEPT_FROM
    void* lstm_take(int64_t size) noexcept
    void lstm_give(void* memory) noexcept
    size_t lstm_kept() noexcept


cdef extern from "_simd/claim.h" nogil:
    int lstm_claim(char* flag) noexcept
    void lstm_release(char* flag) noexcept


cdef extern from "_simd/threads.h" nogil:
    enum:
        LSTM_MOST_THREADS

    ctypedef struct lstm_pool:
        pass

    lstm_pool* lstm_pool_open() noexcept
    void lstm_pool_serve(lstm_pool* pool) noexcept
    void lstm_pool_close(lstm_pool* pool) noexcept
    void lstm_pool_free(lstm_pool* pool) noexcept
    void lstm_pool_run(
        lstm_pool* pool, int parts, void (*job)(void* context, int part) noexcept nogil,
        void* context, int eager,
    ) noexcept
    void lstm_team_run(
        lstm_pool* pool, int members,
        void (*job)(void* context, lstm_team* team, int member) noexcept nogil, void* context,
        int eager,
    ) noexcept
