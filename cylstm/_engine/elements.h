/* elements.h: see elements.c. `out` may be one of the arrays that are read. */
#ifndef CYLSTM_ELEMENTS_H
#define CYLSTM_ELEMENTS_H

#include <stdint.h>
#include "compiler.h"

/* out = rate old + (1 - rate) added, or of the squares of `added` */
LSTM_HIDDEN void lstm_average(int is_double, int64_t n, const void *old, const void *added,
                              double rate, int squares, void *out);
/* out = scale a / (sqrt(squares) + epsilon) */
LSTM_HIDDEN void lstm_divide_by_root(int is_double, int64_t n, const void *a, const void *squares,
                                     double scale, double epsilon, void *out);

#endif
