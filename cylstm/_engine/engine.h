/* engine.h: what the compiled engines take and give. Read this file first.
 *
 * Notation, used in every file of this folder:
 *   B rows of a batch, T steps, D inputs, U units; gate order i, f, c, o (index g = 0..3).
 *   x input, h hidden state, c cell, z pre-activation of the gates, dz its gradient.
 *   A step s = 0..T-1 reads the input time t = s, or t = T-1-s if go_backwards.
 *   "lane" is one element of a vector register; a "unit block" is LANES neighbouring units, the last
 *   one what is left; units are padded to whole blocks in work space, never in the caller's arrays.
 *
 * There are two engines behind one interface. They differ in their products: `fused` has tiles of
 * its own (tile.h) that read packed weights; `blas` has a gemm that it is given, and the weights as
 * they are (gemm.h). Everything else is the same code: masks, dropout, states, and the cell, which
 * is in cell.h alone.
 *
 * Every number of the fused forward pass is one chain of fused multiply-adds in a fixed order
 *   z = (((bias + x[0] w[0]) + x[1] w[1]) ... + h[0] u[0]) + h[1] u[1] ...
 * whatever the tile, the batch, the number of threads, and whether the input product was made step
 * by step or for many steps before the loop. So a row has the same bits alone or in a batch,
 * streamed or whole, on one thread or on two; AVX2 and AVX-512 agree as well. The last bits of
 * `blas` are those of the gemm: they may follow its number of threads, and the batch.
 *
 * All sizes are int64_t and count elements. Arrays are C-contiguous unless a stride is given.
 * `void` stands for float or double. NULL means "not given" for what is read and "not wanted" for
 * what is written.
 */
#ifndef CYLSTM_ENGINE_H
#define CYLSTM_ENGINE_H

#include <stddef.h>
#include <stdint.h>
#include "activation_list.h"
#include "sizes.h"
#include "threads.h"

enum {
    LSTM_GATES = 4,
    LSTM_CACHE = LSTM_GATES + 2 /* numbers a unit and step that training keeps: gates, c, h before */
};

/* What kernels.c and passes.c agree on, of the gradients of the weights: how many pairs of a row and
 * a step are summed at a time, and how many columns a thread takes together at least. */
enum { LSTM_DEPTH = 512, LSTM_COLUMNS = 64 };

/* Operations from which threads, other than the caller's, are worth anything: some 5 microseconds at
 * batch 1. A step of so many also lets other threads of Python run. */
enum { LSTM_LEAST_WORK = 250000 };

/* Operations from which a call wakes threads that sleep. At some 100 of them a nanosecond this is 0.3
 * ms, next to 0.04 ms for waking one. */
enum { LSTM_EAGER_WORK = 30000000 };

/* The names of the activations, by their numbers */
LSTM_HIDDEN extern const char *const lstm_activation_names[lstm_activation_count];

/* What is to be computed */
typedef struct lstm_shape {
    int64_t batch, steps, inputs, units;
    int activation, recurrent_activation; /* lstm_tanh, ... */
    int go_backwards, zero_leading;
    int input_groups, recurrent_groups; /* dropout masks: 0, 1 for all gates, or one for each */
    int gates_first; /* kernel, recurrent and their gradients lie transposed: (4U, D) and (4U, U) */
} lstm_shape;

/* The arrays of the caller */
typedef struct lstm_arrays {
    const void *x;                         /* IN  (B, T, D), elements of a row of D contiguous */
    int64_t x_row_stride, x_step_stride;   /* between rows and between steps; may be negative */
    const int64_t *indices;                /* IN  (B, T) by input time, or NULL: rows of a table that
                                            *     stands in for x, whose size is then 0, see below */
    const void *initial_h, *initial_c;     /* IN  (B, U), NULL: zeros */
    const uint8_t *mask;                   /* IN  (B, T) by input time, 0: carry the state */
    const void *input_masks;               /* IN  (groups, B, D) */
    const void *recurrent_masks;           /* IN  (groups, B, U) */
    const void *own;                       /* IN  (own_rows, U) what a variant of the cell reads */

    /* The cache: OUT of forward, IN of backward. It goes by input time; a masked step holds zero
     * gates, and the carried c and h. */
    void *gates;  /* (B, T, 4U) activated */
    void *cells;  /* (B, T, U) c after the step */
    void *hidden; /* (B, T, U) h before the step */

    void *outputs;           /* OUT (B, T, U) in the order of processing */
    void *final_h, *final_c; /* OUT (B, U) */

    const void *d_outputs;               /* IN  (B, T, U) in the order of processing */
    const void *d_final_h, *d_final_c;   /* IN  (B, U), NULL: zeros */
    void *d_inputs;                      /* OUT (B, T, D) */
    void *d_initial_h, *d_initial_c;     /* OUT (B, U) */
    void *d_kernel, *d_recurrent_kernel; /* OUT (D, 4U), (U, 4U), as the weights; with indices the
                                          *     first is (rows of the table, 4U): zeros, to which
                                          *     dz of each index is added */
    void *d_bias;                        /* OUT (4U) */
    void *d_own;                         /* OUT (B, own_rows, U): zeros, to which it adds */
} lstm_arrays;

/* C = op(A) op(B), or C += op(A) op(B) if `add`; row-major, op(A) of (m, k) and op(B) of (k, n) */
typedef void (*lstm_gemm)(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k,
                          const void *a, int64_t lda, const void *b, int64_t ldb, int add, void *c,
                          int64_t ldc);

/* For `fused` packed: pack_gates of (D, 4U), (U, 4U) and (1, 4U) for the forward pass, pack_matrix
 * of the transposes of the first two for the backward pass. With a gemm as they are, (D, 4U) and
 * (U, 4U), the bias or NULL. With indices the forward pass has the table for a kernel: each row is
 * bias + x W of some x, its columns in the order of pack_gates, in whole vectors. */
typedef struct lstm_weights {
    const void *kernel, *recurrent, *bias;
    lstm_gemm gemm;
} lstm_weights;

struct lstm_kernels;

/* A pass over a whole batch. Nothing of it changes while it runs. */
typedef struct lstm_call {
    const struct lstm_kernels *kernels;
    lstm_shape shape;
    lstm_arrays arrays;
    lstm_weights weights;
} lstm_call;

/* Where a piece of the sequence begins and ends; one pass may be many pieces. */
typedef struct lstm_piece {
    int64_t begin, end;   /* begin <= s < end */
    int64_t from;         /* backward only: the last step plus one, `end` unless a team has stopped */
    const void *h, *c;    /* (B, U) the states before it or, backward, their gradients after it */
    int odd;              /* forward only: whether an odd number of steps went before */
    const int64_t *order; /* (B) the row of the batch at each place of the ranges of rows below,
                           *     NULL: as they stand */
    void *dz;             /* backward: (B, end - begin, 4U) by input time from that of the first step
                           *     on, 0 at masked steps */
    int skip_initial;     /* backward: d_initial_h of step 0 is not wanted */
    int add;              /* backward: add to the gradients of the weights, instead of overwriting */
} lstm_piece;

/* A product of rows and a matrix, bias and activation in one: y = activation(bias + row W), for the
 * layers beside the LSTM. Inputs are `batch` sequences of `steps` times `features` numbers, of which
 * output t reads a window of `size` steps: t * stride - before + k * dilation, for k < size. What is
 * outside of the sequence is zeros. Each number is one chain of multiply-adds as above. */
typedef struct lstm_affine {
    const struct lstm_kernels *kernels;
    int64_t features, size, columns;
    int activation;
    const void *matrix, *bias; /* pack_matrix of (size features, columns), and of (1, columns) */

    int64_t batch, steps;
    int64_t count, stride, dilation, before; /* windows of a sequence */
    const void *x;                           /* IN  (batch, steps, features), the last contiguous */
    int64_t x_row_stride, x_step_stride;     /* between sequences and between steps */
    void *outputs;                           /* OUT (batch, count, columns) ... */
    int64_t y_row_stride;                    /* ... of which sequences may be apart */
} lstm_affine;

/* An update of one variable by an optimizer, see update.h. New slots may be the slots; no other array
 * may be another one. */
typedef struct lstm_update {
    const struct lstm_kernels *kernels;
    int64_t size;               /* elements of the variable */
    const int64_t *indices;     /* of the rows that have a gradient, ascending; NULL: all have one */
    int64_t count, width;       /* how many those are, and the length of a row; else 0 and 1 */
    const void *gradient;       /* IN  (count, width), or (size) */
    const void *value;          /* IN  w; NULL for zeros */
    const void *slots[2];       /* IN  m and v; NULL: there is none */
    void *new_slots[2], *out;   /* OUT */
    double factors[8];          /* keep_m, add_m, keep_v, add_v, of_g, of_m, of_v, epsilon */
} lstm_update;

/* The kernels of one instruction set and precision, for both engines. `first`, `rows`: the range of
 * batch rows to compute, in the order of the piece; ranges may run in parallel. They allocate
 * nothing: `work` has as many bytes as they ask for, aligned to a cache line. */
typedef struct lstm_kernels {
    const char *name; /* of the instruction set */
    int64_t lanes;
    int64_t own_rows; /* of the cell's own weights */
    size_t item;      /* bytes of an element */
    /* How many elements a packed matrix (depth, 4 units) has, and packing units [unit, end) of it, from
     * a multiple of LSTM_COLUMNS / 4 on; ranges may run in parallel. Number (k, column) is at
     * from[k * deep + column * wide], of which one is 1; `from` NULL packs zeros. Sizes are those of
     * sizes.h: LSTM_TOO_LARGE where there cannot be so many. */
    int64_t (*gates_size)(int64_t depth, int64_t units);
    void (*pack_gates)(int64_t depth, int64_t units, int64_t unit, int64_t end, const void *from,
                       int64_t deep, int64_t wide, void *to);
    /* The same for (depth, columns), columns as they stand. */
    int64_t (*columns_size)(int64_t columns, int64_t depth);
    void (*pack_matrix)(int64_t depth, int64_t columns, const void *from, int64_t deep, int64_t wide,
                        void *to);
    /* Bytes of work space for calls with at most that many rows; a team shares one work space. */
    int64_t (*forward_work)(const lstm_call *call, const lstm_piece *piece, int64_t rows,
                            int members);
    int64_t (*backward_work)(const lstm_call *call, int64_t rows, int members);
    int64_t (*gradients_work)(const lstm_call *call);
    /* Both return how far they came: forward, the steps before that one are done, which is `end`;
     * backward, those from it on, which is `begin`. A team may stop halfway; the final states are
     * then those of that step, with which another call can go on. */
    int64_t (*forward)(const lstm_call *call, const lstm_piece *piece, int64_t first, int64_t rows,
                       void *work, lstm_team *team, int member);
    int64_t (*backward)(const lstm_call *call, const lstm_piece *piece, int64_t first, int64_t rows,
                        void *work, lstm_team *team, int member);
    /* Columns [column, column + columns) of the weight gradients; ranges of columns may run in
     * parallel. */
    void (*weight_gradients)(const lstm_call *call, const lstm_piece *piece, int64_t column,
                             int64_t columns, void *work);
    /* The gradients of the inputs for `pairs` pairs of a row and a step of the piece from `first`
     * on, counted row by row in the order of the times; ranges may run in parallel. */
    void (*input_gradients)(const lstm_call *call, const lstm_piece *piece, int64_t first,
                            int64_t pairs, void *work);
    /* y[i] = activation(x[i]) */
    void (*activate)(int activation, int64_t n, const void *x, void *y);
    /* Outputs [first, first + rows), counted over all sequences, and columns [column, column +
     * columns) of them, from a multiple of LSTM_COLUMNS on: all, if the activation needs whole rows.
     * Ranges may run in parallel. */
    int64_t (*affine_work)(const lstm_affine *call);
    void (*affine)(const lstm_affine *call, int64_t first, int64_t rows, int64_t column,
                   int64_t columns, void *work);
    /* Elements [first, last) of an update, from the beginning of a row on if rows have gradients;
     * ranges may run in parallel. */
    void (*update)(const lstm_update *update, int64_t first, int64_t last);
} lstm_kernels;

/* Of instruction set `index`, the best one last; NULL where this CPU does not run it, or there is
 * none. LSTM_ISA_COUNT of isa/list.h counts them. */
LSTM_HIDDEN const lstm_kernels *lstm_kernels_at(int index, int is_double);

/* pack.c: the weights `given`, as they are, in the order in which kernels read them: for the forward
 * pass, or transposed for the backward pass. lstm_give takes them back; NULL: no memory. And as many
 * operations of a pass as take as long. */
LSTM_HIDDEN lstm_weights *lstm_pack(const lstm_kernels *kernels, const lstm_shape *shape,
                                    const lstm_weights *given, int transposed, lstm_pool *pool,
                                    int threads);
LSTM_HIDDEN double lstm_pack_operations(const lstm_shape *shape);

/* Whole passes: passes.c. `interrupted` is asked every few milliseconds, and may answer that. */
enum { LSTM_INTERRUPTED = -1, LSTM_DONE, LSTM_NO_MEMORY };
typedef int (*lstm_question)(void);
LSTM_HIDDEN double lstm_operations(const lstm_shape *shape); /* of the products of a pass */
LSTM_HIDDEN int lstm_forward(const lstm_call *call, lstm_pool *pool, int threads,
                             lstm_question interrupted);
LSTM_HIDDEN int lstm_backward(const lstm_call *call, lstm_pool *pool, int threads,
                              lstm_question interrupted);

/* One step after the other, of a call with one step whose initial states are its final ones too. */
typedef struct lstm_stream lstm_stream;
LSTM_HIDDEN lstm_stream *lstm_stream_open(const lstm_call *call, int threads); /* NULL: no memory */
LSTM_HIDDEN void lstm_stream_step(lstm_stream *stream, const void *x, int64_t row_stride,
                                  lstm_pool *pool);
LSTM_HIDDEN void lstm_stream_close(lstm_stream *stream);

/* affine.c. Packing enters the two in the call; lstm_give takes the matrix back, and the bias with it.
 * 0: no memory. `work` has the bytes that lstm_affine_work says for so many threads. */
LSTM_HIDDEN int lstm_affine_pack(lstm_affine *call, const void *matrix, const void *bias);
LSTM_HIDDEN double lstm_affine_operations(const lstm_affine *call);
LSTM_HIDDEN int64_t lstm_affine_work(const lstm_affine *call, int threads);
LSTM_HIDDEN void lstm_affine_run(const lstm_affine *call, void *work, lstm_pool *pool, int threads);

/* update.c: updates, which cannot fail; and the sums of those of `count` rows that have the same index,
 * 0 <= index < size, in their order. `unique` is (count), ascending in the end, and `sums` (count,
 * width), of which as many rows are used as are returned; `place` is work space of (size). */
LSTM_HIDDEN void lstm_update_run(const lstm_update *updates, int count, lstm_pool *pool,
                                 int threads);
LSTM_HIDDEN int64_t lstm_sum_rows(int is_double, int64_t size, int64_t count, int64_t width,
                                  const int64_t *indices, const void *rows, int64_t *place,
                                  int64_t *unique, void *sums);

/* classes.c: of rows of so many classes. With dp, the gradient with respect to p = softmax(x), out is that
 * with respect to x, p (dp - sum p dp). Else p is clipped to [least, 1 - least], and out are the numbers
 * sum p / p[true class], one a row, or if `whole` the gradients of their logarithms with respect to p. */
LSTM_HIDDEN void lstm_classes(int is_double, int64_t rows, int64_t classes, const void *p,
                              const int64_t *numbers, const void *dp, double least, int whole,
                              void *out);

/* Between these two denormal numbers are read and written as zeros: an adversarial state would
 * otherwise cost 10 to 30 times the time. The setting belongs to the calling thread; `lstm_restore`
 * takes what the first one returned. */
LSTM_HIDDEN uint64_t lstm_flush_denormals(void);
LSTM_HIDDEN void lstm_restore(uint64_t saved);

#endif
