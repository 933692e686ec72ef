/* LIBXSMM's LSTM (1.17), for bench/peers/libxsmm.py: a cell made, run and freed.

   Arrays are float32 and time-major: sequences (T, N, C or K), states (N, K). Weights are packed in
   blocks, (4, K / bk, C / bc, bc, bk), with the gates in the order i, c, f, o. */

#include <libxsmm.h>
#include <omp.h>
#include <stdlib.h>

/* The arrays in the order in which Python passes them; the last ten are for the gradients only. */
static const libxsmm_dnn_tensor_type TYPES[] = {
    LIBXSMM_DNN_RNN_REGULAR_INPUT,
    LIBXSMM_DNN_RNN_REGULAR_CS_PREV,
    LIBXSMM_DNN_RNN_REGULAR_HIDDEN_STATE_PREV,
    LIBXSMM_DNN_RNN_REGULAR_WEIGHT,
    LIBXSMM_DNN_RNN_REGULAR_RECUR_WEIGHT,
    LIBXSMM_DNN_RNN_REGULAR_BIAS,
    LIBXSMM_DNN_RNN_REGULAR_CS,
    LIBXSMM_DNN_RNN_REGULAR_HIDDEN_STATE,
    LIBXSMM_DNN_RNN_INTERNAL_I,
    LIBXSMM_DNN_RNN_INTERNAL_F,
    LIBXSMM_DNN_RNN_INTERNAL_O,
    LIBXSMM_DNN_RNN_INTERNAL_CI,
    LIBXSMM_DNN_RNN_INTERNAL_CO,
    LIBXSMM_DNN_RNN_REGULAR_WEIGHT_TRANS,
    LIBXSMM_DNN_RNN_REGULAR_RECUR_WEIGHT_TRANS,
    LIBXSMM_DNN_RNN_GRADIENT_INPUT,
    LIBXSMM_DNN_RNN_GRADIENT_CS_PREV,
    LIBXSMM_DNN_RNN_GRADIENT_HIDDEN_STATE_PREV,
    LIBXSMM_DNN_RNN_GRADIENT_WEIGHT,
    LIBXSMM_DNN_RNN_GRADIENT_RECUR_WEIGHT,
    LIBXSMM_DNN_RNN_GRADIENT_BIAS,
    LIBXSMM_DNN_RNN_GRADIENT_CS,
    LIBXSMM_DNN_RNN_GRADIENT_HIDDEN_STATE,
};
enum { COUNT = sizeof TYPES / sizeof *TYPES };

typedef struct {
    libxsmm_dnn_rnncell *cell;
    libxsmm_dnn_tensor *tensors[COUNT];
    void *scratch;
    int threads;
} lstm;

const char *xsmm_version(void) { return LIBXSMM_VERSION; }

const char *xsmm_target(void)
{
    libxsmm_init();
    return libxsmm_get_target_arch();
}

void xsmm_free(lstm *it)
{
    if (it == NULL)
        return;
    for (int i = 0; i < COUNT; i++)
        if (it->tensors[i] != NULL)
            libxsmm_dnn_destroy_tensor(it->tensors[i]);
    if (it->cell != NULL)
        libxsmm_dnn_destroy_rnncell(it->cell);
    libxsmm_free(it->scratch);
    free(it);
}

static int bind(lstm *it, int i, void *data)
{
    libxsmm_dnn_err_t status;
    libxsmm_dnn_tensor_datalayout *layout =
        libxsmm_dnn_rnncell_create_tensor_datalayout(it->cell, TYPES[i], &status);
    if (status != LIBXSMM_DNN_SUCCESS)
        return 0;
    it->tensors[i] = libxsmm_dnn_link_tensor(layout, data, &status);
    libxsmm_dnn_destroy_tensor_datalayout(layout);
    return status == LIBXSMM_DNN_SUCCESS
           && libxsmm_dnn_rnncell_bind_tensor(it->cell, it->tensors[i], TYPES[i])
                  == LIBXSMM_DNN_SUCCESS;
}

/* sizes: T, N, C, K, bn, bc, bk, which divide N, C and K. NULL if the library refuses. */
lstm *xsmm_make(int threads, const int *sizes, void *const *arrays, int count)
{
    libxsmm_dnn_err_t status = LIBXSMM_DNN_SUCCESS;
    const libxsmm_dnn_rnncell_desc described = {
        .threads = threads,
        .max_T = sizes[0],
        .N = sizes[1],
        .C = sizes[2],
        .K = sizes[3],
        .bn = sizes[4],
        .bc = sizes[5],
        .bk = sizes[6],
        .cell_type = LIBXSMM_DNN_RNNCELL_LSTM,
        .datatype_in = LIBXSMM_DNN_DATATYPE_F32,
        .datatype_out = LIBXSMM_DNN_DATATYPE_F32,
        .buffer_format = LIBXSMM_DNN_TENSOR_FORMAT_NC,
        .filter_format = LIBXSMM_DNN_TENSOR_FORMAT_CKPACKED,
    };
    lstm *it = calloc(1, sizeof *it);
    int good = it != NULL && count <= COUNT;
    if (good) {
        it->threads = threads;
        it->cell = libxsmm_dnn_create_rnncell(described, &status);
        good = it->cell != NULL && status == LIBXSMM_DNN_SUCCESS;
    }
    for (int i = 0; good && i < count; i++)
        good = bind(it, i, arrays[i]);
    if (good) {
        const libxsmm_dnn_compute_kind kind = LIBXSMM_DNN_COMPUTE_KIND_ALL;
        const size_t bytes = libxsmm_dnn_rnncell_get_scratch_size(it->cell, kind, &status);
        it->scratch = libxsmm_aligned_malloc(bytes, 2 << 20);
        good = status == LIBXSMM_DNN_SUCCESS && it->scratch != NULL
               && libxsmm_dnn_rnncell_bind_scratch(it->cell, kind, it->scratch)
                      == LIBXSMM_DNN_SUCCESS
               && libxsmm_dnn_rnncell_allocate_forget_bias(it->cell, 0) == LIBXSMM_DNN_SUCCESS;
    }
    if (good)
        return it;
    xsmm_free(it);
    return NULL;
}

static int execute(lstm *it, libxsmm_dnn_compute_kind kind)
{
    int failed = 0;
    if (it->threads == 1)
        return libxsmm_dnn_rnncell_execute_st(it->cell, kind, 0, 0) != LIBXSMM_DNN_SUCCESS;
#pragma omp parallel num_threads(it->threads) reduction(| : failed)
    failed |= libxsmm_dnn_rnncell_execute_st(it->cell, kind, 0, omp_get_thread_num())
              != LIBXSMM_DNN_SUCCESS;
    return failed;
}

/* Forward; 0 if all went well. */
int xsmm_forward(lstm *it) { return execute(it, LIBXSMM_DNN_COMPUTE_KIND_FWD); }

/* Forward, and all gradients. */
int xsmm_train(lstm *it)
{
    return execute(it, LIBXSMM_DNN_COMPUTE_KIND_FWD)
           || execute(it, LIBXSMM_DNN_COMPUTE_KIND_BWDUPD);
}
