/* oneDNN's LSTM primitive (version 3), for bench/peers/onednn.py: made, filled, run and freed.

   Arrays are float32: sequences (T, N, C or K), states (N, K), weights (C or K, 4 K), with the gates
   in the order i, f, c, o. The library allocates them; Python asks where they are. */

#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>

enum { STEP, FORWARD, TRAIN }; /* modes */

/* What Python reads and writes, in its order; then what the library has in formats of its own. */
enum {
    X, W, R, B, H0, C0, Y, HT, CT, DX, DH0, DC0, DW, DR, DB, DY,
    PACKED_W, PACKED_R, BACK_W, BACK_R, PACKED_DW, PACKED_DR, WORKSPACE,
    COUNT
};

typedef struct {
    int mode, turn;
    dnnl_memory_desc_t plain[PACKED_W]; /* what of these is not there stays NULL */
    dnnl_memory_t memory[COUNT];
    dnnl_primitive_desc_t forward_desc, backward_desc;
    dnnl_primitive_t forward, backward, pack_w, pack_r, back_w, back_r, unpack_w, unpack_r;
} lstm;

static dnnl_engine_t engine;
static dnnl_stream_t stream;

#define TRY(CALL)                    \
    do {                             \
        if ((CALL) != dnnl_success)  \
            return 1;                \
    } while (0)

int onednn_start(void)
{
    TRY(dnnl_engine_create(&engine, dnnl_cpu, 0));
    return dnnl_stream_create(&stream, engine, dnnl_stream_in_order) != dnnl_success;
}

const char *onednn_version(int *major, int *minor, int *patch)
{
    const dnnl_version_t *found = dnnl_version();
    *major = found->major, *minor = found->minor, *patch = found->patch;
    return found->hash;
}

int onednn_isa(void) { return (int)dnnl_get_effective_cpu_isa(); }

static int describe(lstm *it, int which, int rank, const dnnl_dims_t sizes, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(&it->plain[which], rank, sizes, dnnl_f32, tag)
           != dnnl_success;
}

static int describe_all(lstm *it, int t, int n, int c, int k)
{
    const dnnl_dims_t x = {t, n, c}, y = {t, n, k}, state = {1, 1, n, k}, b = {1, 1, 4, k};
    const dnnl_dims_t w = {1, 1, c, 4, k}, r = {1, 1, k, 4, k};
    int bad = describe(it, X, 3, x, dnnl_tnc) || describe(it, W, 5, w, dnnl_ldigo)
              || describe(it, R, 5, r, dnnl_ldigo) || describe(it, B, 4, b, dnnl_ldgo)
              || describe(it, Y, 3, y, dnnl_tnc);
    if (it->mode != FORWARD)
        bad = bad || describe(it, H0, 4, state, dnnl_ldnc) || describe(it, C0, 4, state, dnnl_ldnc);
    if (it->mode != TRAIN)
        return bad || describe(it, HT, 4, state, dnnl_ldnc)
               || describe(it, CT, 4, state, dnnl_ldnc);
    return bad || describe(it, DX, 3, x, dnnl_tnc) || describe(it, DH0, 4, state, dnnl_ldnc)
           || describe(it, DC0, 4, state, dnnl_ldnc) || describe(it, DW, 5, w, dnnl_ldigo)
           || describe(it, DR, 5, r, dnnl_ldigo) || describe(it, DB, 4, b, dnnl_ldgo)
           || describe(it, DY, 3, y, dnnl_tnc);
}

static int make_primitives(lstm *it, int c, int k)
{
    const dnnl_dims_t w = {1, 1, c, 4, k}, r = {1, 1, k, 4, k};
    const dnnl_prop_kind_t kind = it->mode == TRAIN ? dnnl_forward_training : dnnl_forward_inference;
    const dnnl_rnn_direction_t direction = dnnl_unidirectional_left2right;
    dnnl_memory_desc_t *of = it->plain, any_w, any_r;
    TRY(dnnl_memory_desc_create_with_tag(&any_w, 5, w, dnnl_f32, dnnl_format_tag_any));
    TRY(dnnl_memory_desc_create_with_tag(&any_r, 5, r, dnnl_f32, dnnl_format_tag_any));
    TRY(dnnl_lstm_forward_primitive_desc_create(
        &it->forward_desc, engine, kind, direction, of[X], of[H0], of[C0], any_w, any_r, NULL, NULL,
        of[B], of[Y], of[HT], of[CT], dnnl_rnn_flags_undef, NULL));
    TRY(dnnl_primitive_create(&it->forward, it->forward_desc));
    if (it->mode == TRAIN) {
        TRY(dnnl_lstm_backward_primitive_desc_create(
            &it->backward_desc, engine, dnnl_backward, direction, of[X], of[H0], of[C0], any_w,
            any_r, NULL, NULL, of[B], of[Y], NULL, NULL, of[DX], of[DH0], of[DC0], any_w, any_r, NULL, NULL,
            of[DB], of[DY], NULL, NULL, dnnl_rnn_flags_diff_weights_overwrite, it->forward_desc,
            NULL));
        TRY(dnnl_primitive_create(&it->backward, it->backward_desc));
    }
    dnnl_memory_desc_destroy(any_w);
    dnnl_memory_desc_destroy(any_r);
    return 0;
}

static int allocate(lstm *it, int which, const_dnnl_memory_desc_t described)
{
    return dnnl_memory_create(&it->memory[which], described, engine, DNNL_MEMORY_ALLOCATE)
           != dnnl_success;
}

static int allocate_as(lstm *it, int which, dnnl_primitive_desc_t by, dnnl_query_t what, int place)
{
    return allocate(it, which, dnnl_primitive_desc_query_md(by, what, place));
}

static int allocate_all(lstm *it)
{
    dnnl_primitive_desc_t forward = it->forward_desc, backward = it->backward_desc;
    const dnnl_query_t weights = dnnl_query_weights_md, gradients = dnnl_query_diff_weights_md;
    for (int i = 0; i < PACKED_W; i++)
        if (it->plain[i] != NULL && allocate(it, i, it->plain[i]))
            return 1;
    if (allocate_as(it, PACKED_W, forward, weights, 0)
        || allocate_as(it, PACKED_R, forward, weights, 1))
        return 1;
    return it->mode == TRAIN
           && (allocate_as(it, BACK_W, backward, weights, 0)
               || allocate_as(it, BACK_R, backward, weights, 1)
               || allocate_as(it, PACKED_DW, backward, gradients, 0)
               || allocate_as(it, PACKED_DR, backward, gradients, 1)
               || allocate_as(it, WORKSPACE, forward, dnnl_query_workspace_md, 0));
}

static int make_reorder(lstm *it, dnnl_primitive_t *made, int from, int to)
{
    const_dnnl_memory_desc_t source, target;
    dnnl_primitive_desc_t described;
    TRY(dnnl_memory_get_memory_desc(it->memory[from], &source));
    TRY(dnnl_memory_get_memory_desc(it->memory[to], &target));
    TRY(dnnl_reorder_primitive_desc_create(&described, source, engine, target, engine, NULL));
    const dnnl_status_t status = dnnl_primitive_create(made, described);
    dnnl_primitive_desc_destroy(described);
    return status != dnnl_success;
}

void onednn_free(lstm *it)
{
    if (it == NULL)
        return;
    dnnl_primitive_t primitives[] = {it->forward, it->backward, it->pack_w,   it->pack_r,
                                     it->back_w,  it->back_r,   it->unpack_w, it->unpack_r};
    for (size_t i = 0; i < sizeof primitives / sizeof *primitives; i++)
        if (primitives[i] != NULL)
            dnnl_primitive_destroy(primitives[i]);
    if (it->forward_desc != NULL)
        dnnl_primitive_desc_destroy(it->forward_desc);
    if (it->backward_desc != NULL)
        dnnl_primitive_desc_destroy(it->backward_desc);
    for (int i = 0; i < COUNT; i++)
        if (it->memory[i] != NULL)
            dnnl_memory_destroy(it->memory[i]);
    for (int i = 0; i < PACKED_W; i++)
        if (it->plain[i] != NULL)
            dnnl_memory_desc_destroy(it->plain[i]);
    free(it);
}

/* NULL if the library refuses. */
lstm *onednn_make(int mode, int t, int n, int c, int k)
{
    lstm *it = calloc(1, sizeof *it);
    if (it == NULL)
        return NULL;
    it->mode = mode;
    if (describe_all(it, t, n, c, k) || make_primitives(it, c, k) || allocate_all(it)
        || make_reorder(it, &it->pack_w, W, PACKED_W) || make_reorder(it, &it->pack_r, R, PACKED_R)
        || (mode == TRAIN
            && (make_reorder(it, &it->back_w, W, BACK_W) || make_reorder(it, &it->back_r, R, BACK_R)
                || make_reorder(it, &it->unpack_w, PACKED_DW, DW)
                || make_reorder(it, &it->unpack_r, PACKED_DR, DR)))) {
        onednn_free(it);
        return NULL;
    }
    return it;
}

/* Where an array is; NULL if this mode has none. */
float *onednn_array(lstm *it, int which)
{
    void *found = NULL;
    if (it->memory[which] != NULL)
        dnnl_memory_get_data_handle(it->memory[which], &found);
    return found;
}

static int reorder(lstm *it, dnnl_primitive_t made, int from, int to)
{
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_FROM, it->memory[from]},
        {DNNL_ARG_TO, it->memory[to]},
    };
    TRY(dnnl_primitive_execute(made, stream, 2, arguments));
    return dnnl_stream_wait(stream) != dnnl_success;
}

/* Bring the weights into the formats of the primitives. */
int onednn_pack(lstm *it)
{
    it->turn = 0;
    return reorder(it, it->pack_w, W, PACKED_W) || reorder(it, it->pack_r, R, PACKED_R)
           || (it->mode == TRAIN
               && (reorder(it, it->back_w, W, BACK_W) || reorder(it, it->back_r, R, BACK_R)));
}

/* Bring their gradients into the plain format. */
int onednn_unpack(lstm *it)
{
    return reorder(it, it->unpack_w, PACKED_DW, DW) || reorder(it, it->unpack_r, PACKED_DR, DR);
}

static int backward(lstm *it)
{
    dnnl_memory_t *m = it->memory;
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC_LAYER, m[X]},
        {DNNL_ARG_SRC_ITER, m[H0]},
        {DNNL_ARG_SRC_ITER_C, m[C0]},
        {DNNL_ARG_WEIGHTS_LAYER, m[BACK_W]},
        {DNNL_ARG_WEIGHTS_ITER, m[BACK_R]},
        {DNNL_ARG_BIAS, m[B]},
        {DNNL_ARG_DST_LAYER, m[Y]},
        {DNNL_ARG_WORKSPACE, m[WORKSPACE]},
        {DNNL_ARG_DIFF_SRC_LAYER, m[DX]},
        {DNNL_ARG_DIFF_SRC_ITER, m[DH0]},
        {DNNL_ARG_DIFF_SRC_ITER_C, m[DC0]},
        {DNNL_ARG_DIFF_WEIGHTS_LAYER, m[PACKED_DW]},
        {DNNL_ARG_DIFF_WEIGHTS_ITER, m[PACKED_DR]},
        {DNNL_ARG_DIFF_BIAS, m[DB]},
        {DNNL_ARG_DIFF_DST_LAYER, m[DY]},
    };
    const int count = sizeof arguments / sizeof *arguments;
    return dnnl_primitive_execute(it->backward, stream, count, arguments) != dnnl_success;
}

/* A step, whose new states are the old ones of the next; or forward; or that and all gradients. */
int onednn_run(lstm *it)
{
    dnnl_memory_t *m = it->memory;
    const int odd = it->turn;
    dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC_LAYER, m[X]},
        {DNNL_ARG_WEIGHTS_LAYER, m[PACKED_W]},
        {DNNL_ARG_WEIGHTS_ITER, m[PACKED_R]},
        {DNNL_ARG_BIAS, m[B]},
        {DNNL_ARG_DST_LAYER, m[Y]},
        {DNNL_ARG_SRC_ITER, m[odd ? HT : H0]},
        {DNNL_ARG_SRC_ITER_C, m[odd ? CT : C0]},
        {DNNL_ARG_DST_ITER, m[odd ? H0 : HT]},
        {DNNL_ARG_DST_ITER_C, m[odd ? C0 : CT]},
        {DNNL_ARG_WORKSPACE, m[WORKSPACE]},
    };
    const int count = sizeof arguments / sizeof *arguments;
    TRY(dnnl_primitive_execute(it->forward, stream, count, arguments));
    if (it->mode == TRAIN && backward(it))
        return 1;
    if (it->mode == STEP)
        it->turn = !odd;
    return dnnl_stream_wait(stream) != dnnl_success;
}
