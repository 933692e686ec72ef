/* lstm.h: what the fused kernels take and give. Read this file first.
 *
 * Notation, used in every file of this folder:
 *   B rows of a batch, T steps, D inputs, U units; gate order i, f, c, o (index g = 0..3).
 *   x input, h hidden state, c cell, z pre-activation of the four gates, dz its gradient.
 *   A step s = 0..T-1 reads the input time t = s, or t = T-1-s if go_backwards.
 *   "lane" is one element of a vector register; a "unit block" is LANES neighbouring units;
 *   units are padded to whole blocks in packed weights and in work space, never in the caller's
 * arrays.
 *
 * Every number of the forward pass is one chain of fused multiply-adds in a fixed order
 *   z = (((bias + x[0] w[0]) + x[1] w[1]) ... + h[0] u[0]) + h[1] u[1] ...
 * whatever the tile, the batch, the number of threads, and whether the input product was made step
 * by step or for many steps before the loop. So a row has the same bits alone or in a batch,
 * streamed or whole, on one thread or on two; AVX2 and AVX-512 agree as well.
 *
 * All sizes are int64_t and count elements. Arrays are C-contiguous unless a stride is given. The
 * kernels allocate nothing: the caller asks `forward_work` / `backward_work` and passes that many
 * bytes, aligned to 64.
 */
#ifndef CYLSTM_LSTM_H
#define CYLSTM_LSTM_H

#include <stddef.h>
#include <stdint.h>
#include "sizes.h"

/* Activation ids, equal to _core.ACTIVATIONS. Softmax mixes units and is not computed here. */
enum {
    LSTM_LINEAR,
    LSTM_TANH,
    LSTM_SIGMOID,
    LSTM_HARD_SIGMOID,
    LSTM_RELU,
    LSTM_ELU,
    LSTM_SELU,
    LSTM_SOFTPLUS,
    LSTM_SOFTSIGN,
    LSTM_ACTIVATIONS
};

/* One problem: a whole batch. Kernels are called for a range of its rows; ranges may run in
 * parallel. `void` stands for float or double. NULL means "not given" for inputs and "not wanted"
 * for outputs. */
typedef struct lstm_problem {
    int64_t batch, steps, inputs, units;
    int64_t begin, end; /* the steps of this call: begin <= s < end. A sequence may be run in
                         * several calls, the state of one being the initial state of the next. */
    int64_t from;       /* backward only: the last step plus one, end unless a team has stopped */
    int activation, recurrent_activation; /* ids above */
    int go_backwards, zero_leading;
    int odd; /* forward only: whether an odd number of steps of the same sequence went before */

    const void *x;                       /* IN  (B, T, D), elements of a row of D contiguous */
    int64_t x_row_stride, x_step_stride; /* between rows and between steps; may be negative */
    const void *kernel_pack;             /* IN  pack_gates of (D, 4U) */
    const void *recurrent_pack;          /* IN  pack_gates of (U, 4U) */
    const void *bias_pack;               /* IN  pack_gates of (1, 4U); zeros if there is no bias */
    const void *transposed_pack;         /* IN  pack_columns of (U, 4U); backward only */
    const void *initial_h, *initial_c;   /* IN  (B, U), NULL: zeros */
    const uint8_t *mask;         /* IN  (B, T) by input time, 0: carry the state, NULL: all ones */
    const int64_t *order;        /* IN  (B) the row of the batch at each place of the ranges of rows
                                  *     below, NULL: as they stand */
    const void *input_masks;     /* IN  (G, B, D) dropout, NULL: none; forward only */
    const void *recurrent_masks; /* IN  (G, B, U) dropout, NULL: none */
    int input_groups, recurrent_groups; /*     G: 1 (one mask for all gates) or 4 */

    /* forward. The caches are indexed by input time; a masked step holds zero gates and the carried
     * c and h. */
    void *outputs;           /* OUT (B, T, U) in the order of processing */
    void *final_h, *final_c; /* OUT (B, U) */
    void *gates;             /* OUT (B, T, 4U) activated; IN of backward */
    void *cells;             /* OUT (B, T, U) c after the step; IN of backward */
    void *hidden;            /* OUT (B, T, U) h before the step */

    /* backward */
    const void *d_outputs;             /* IN  (B, T, U) in the order of processing */
    const void *d_final_h, *d_final_c; /* IN  (B, U), NULL: zeros */
    void *dz; /* OUT (B, end - begin, 4U) by input time from that of the first step on, 0 at masked
               *     steps. It serves one call after the other. */
    void *d_initial_h, *d_initial_c; /* OUT (B, U) */
    int skip_initial; /* d_initial_h of step 0 is not wanted: leave its product out */

    /* weight_gradients and input_gradients, from x, hidden, dz, mask, dropout masks */
    const void *kernel_transposed_pack;  /* IN  pack_columns of the kernel (D, 4U) */
    int add_gradients;                   /* add to the three below, instead of overwriting them */
    void *d_kernel, *d_recurrent_kernel; /* OUT (D, 4U), (U, 4U) */
    void *d_bias;                        /* OUT (4U) or NULL */
    void *d_inputs;                      /* OUT (B, T, D) */
} lstm_problem;

/* Threads that share one call: each computes some of the units and waits for the others once a
 * step. It pays for few rows, for which a step is as fast as its weights are read: each core then
 * reads a part of them. NULL: alone. */
typedef struct lstm_team {
    int members;
    int arrived, generation; /* of the barrier; start with zeros */
    int leave;               /* the generation after which all leave, or 0 */
    int apart;               /* in one step they need not meet, which takes 5 to 25 % less time: each
                              * member has a work space of its own; no state may be both an initial
                              * and a final one */
} lstm_team;

/* The kernels of one instruction set and precision. `first`, `rows`: the range of batch rows to
 * compute, in the order of the problem. */
typedef struct lstm_kernels {
    const char *name; /* "generic", "avx2", "avx512" */
    int64_t lanes;
    size_t item; /* bytes of an element */
    /* How many elements a packed matrix has (depth, 4 units), and packing it; `from` NULL packs
     * zeros. Sizes are those of sizes.h: LSTM_TOO_LARGE where there cannot be so many. */
    int64_t (*gates_size)(int64_t depth, int64_t units);
    void (*pack_gates)(int64_t depth, int64_t units, const void *from, void *to);
    /* The same for the transposed product: `from` is (columns, depth), the product is a (depth) @
     * from.T. */
    int64_t (*columns_size)(int64_t columns, int64_t depth);
    void (*pack_columns)(int64_t columns, int64_t depth, const void *from, void *to);
    /* Bytes of work space, aligned to 64, for calls with at most that many rows; a team shares one
     * work space. */
    int64_t (*forward_work)(const lstm_problem *p, int64_t rows, int members);
    int64_t (*backward_work)(const lstm_problem *p, int64_t rows, int members);
    int64_t (*weight_gradients_work)(const lstm_problem *p);
    /* Both return how far they came: forward, the steps before that one are done, which is `end`;
     * backward, those from it on, which is `begin`. A team may stop halfway; the final states are
     * then those of that step, with which another call can go on. */
    int64_t (*forward)(const lstm_problem *p, int64_t first, int64_t rows, void *work,
                       lstm_team *team, int member);
    int64_t (*backward)(const lstm_problem *p, int64_t first, int64_t rows, void *work,
                        lstm_team *team, int member);
    /* Columns [column, column + columns) of the weight gradients; ranges of columns may run in
     * parallel. */
    void (*weight_gradients)(const lstm_problem *p, int64_t column, int64_t columns, void *work);
    /* The gradients of the inputs for `pairs` pairs of a row and a step of this call from `first` on,
     * counted row by row in the order of the times; ranges may run in parallel. */
    void (*input_gradients)(const lstm_problem *p, int64_t first, int64_t pairs);
    /* y[i] = activation(x[i]) */
    void (*activate)(int activation, int64_t n, const void *x, void *y);
} lstm_kernels;

#if defined(__GNUC__)
#define LSTM_HIDDEN __attribute__((visibility("hidden")))
#else
#define LSTM_HIDDEN
#endif

/* The kernels called `name`, or the best that this CPU runs if `name` is NULL. NULL: unknown here,
 * or not on this CPU. */
LSTM_HIDDEN const lstm_kernels *lstm_find_kernels(const char *name, int is_double);

/* Waits until all members of the team are here. Returns, to all of them alike, whether to give up
 * sharing: one had to wait so long that another seems to have lost its core to somebody else. */
LSTM_HIDDEN int lstm_team_wait(lstm_team *team);

/* Between these two denormal numbers are read and written as zeros: an adversarial state would
 * otherwise cost 10 to 30 times the time. The setting belongs to the calling thread; `lstm_restore`
 * takes what the first one returned. */
LSTM_HIDDEN uint64_t lstm_flush_denormals(void);
LSTM_HIDDEN void lstm_restore(uint64_t saved);

#endif
