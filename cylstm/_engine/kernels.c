/* kernels.c: everything for one instruction set and precision. setup.py compiles it once for each
 * pair, with LSTM_ISA (avx2) and LSTM_DOUBLE (0 or 1) given: so plain names will do, and the
 * compilers run side by side.
 */
#include <math.h>
#include <string.h>
#include "engine.h"

#define LSTM_TEXT_(text) #text
#define LSTM_TEXT(text) LSTM_TEXT_(text)
#define LSTM_JOIN_(isa, real) lstm_kernels_##isa##_##real
#define LSTM_JOIN(isa, real) LSTM_JOIN_(isa, real)

#if LSTM_DOUBLE
#define REAL double
#define BITS int64_t
#define TABLE LSTM_JOIN(LSTM_ISA, f64)
#else
#define REAL float
#define BITS int32_t
#define TABLE LSTM_JOIN(LSTM_ISA, f32)
#endif

/* Every function begins with one of these: one binary holds the code for all instruction sets. */
#define INLINE LSTM_ALWAYS_INLINE LSTM_TARGET
#define LOCAL LSTM_NOINLINE LSTM_TARGET

/* For functions that are more like each other than like those of their names for other instruction
 * sets, which the linker puts side by side otherwise: what is alike, and near, compresses well. */
#define LOCAL_BESIDE(name) LSTM_BESIDE(name "_" LSTM_TEXT(TABLE)) LOCAL

#define LSTM_HEADER LSTM_TEXT(isa/LSTM_ISA.h)
#include LSTM_HEADER
#ifdef LANES /* the compiler may be one for another kind of CPU */

#include "activations.h"
#include "tile.h"
#include "pack.h"
#include "cell.h"
#include "sequence.h"
#include "gemm.h"
#include "forward.h"
#include "backward.h"
#include "gradients.h"
#include "affine.h"
#include "update.h"

LSTM_HIDDEN extern const lstm_kernels TABLE;
const lstm_kernels TABLE = {
    LSTM_TEXT(LSTM_ISA), LANES,           OWN_ROWS,     sizeof(REAL), gates_size,    pack_gates,
    columns_size,        pack_matrix,     forward_work, backward_work, gradients_work, forward,
    backward,            weight_gradients, input_gradients, activate_array,
    affine_work,         affine,          update,
};

#endif
