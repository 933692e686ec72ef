/* kernels.h: everything for one instruction set and precision; included by dispatch.c once for each
 * pair. The includer defines LSTM_ISA (name), LSTM_LEVEL (0 generic, 1 AVX2, 2 AVX-512), LSTM_REAL
 * (f32, f64), LSTM_DOUBLE.
 */
#include "vector.h"
#include "activations.h"
#include "tile.h"
#include "forward.h"
#include "backward.h"
#include "gradients.h"

#define TEXT_(text) #text
#define TEXT(text) TEXT_(text)
static const lstm_kernels FN(lstm_kernels) = {
    TEXT(LSTM_ISA), LANES,        sizeof(REAL),     gates_size,      pack_gates,
    columns_size,   pack_columns, forward_work,     backward_work,   weight_gradients_work,
    forward,        backward,     weight_gradients, input_gradients, activate_array,
};
#undef TEXT
#undef TEXT_
#undef TAKE
