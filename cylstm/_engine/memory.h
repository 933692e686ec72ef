/* memory.h: blocks of memory that are used again.
 *
 * Training asks for the same large arrays batch after batch. The C library hands what is freed back
 * to the system, and the system clears each page again at its next use: 0.25 ms a megabyte here, a
 * third of a training step. So blocks of LSTM_KEPT_FROM bytes or more wait in a list when they are
 * given back, the last one first, and a new request takes the first that fits. A block that has
 * waited for LSTM_PATIENCE requests, or is beyond LSTM_KEPT_BLOCKS or LSTM_KEPT_BYTES, is freed.
 */
#ifndef CYLSTM_MEMORY_H
#define CYLSTM_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

#define LSTM_KEPT_FROM ((size_t)32 << 10)
#define LSTM_KEPT_BYTES ((size_t)256 << 20)
#define LSTM_KEPT_BLOCKS 64
#define LSTM_PATIENCE 256

/* At least `size` bytes, aligned to a cache line; 2 MB or more to huge pages, where there are any.
 * NULL if there is no memory, or `size` is negative. Any thread may give back what any other took. */
LSTM_HIDDEN void *lstm_take(int64_t size);
LSTM_HIDDEN void lstm_give(void *memory); /* NULL: nothing happens */

/* How many bytes wait to be used again, for tests. */
LSTM_HIDDEN size_t lstm_kept(void);

#endif
