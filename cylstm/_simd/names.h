/* names.h: one source for every instruction set and precision.
 *
 * kernels.h is included once for each pair. FN(name) is the name with the current pair appended
 * (product_avx512_f32), and the short names below stand for it, so that the templates read like
 * plain C.
 */
#ifndef CYLSTM_NAMES_H
#define CYLSTM_NAMES_H

#define LSTM_JOIN_(name, isa, real) name##_##isa##_##real
#define LSTM_JOIN(name, isa, real) LSTM_JOIN_(name, isa, real)
#define FN(name) LSTM_JOIN(name, LSTM_ISA, LSTM_REAL)

#if defined(__GNUC__) || defined(__clang__)
#define LSTM_ALWAYS_INLINE static inline __attribute__((always_inline, unused))
#define LSTM_NOINLINE static __attribute__((noinline, unused))
#define LSTM_PREFETCH(address) __builtin_prefetch(address)
#define LSTM_PREFETCH_L2(address) __builtin_prefetch(address, 0, 2)
#else
#define LSTM_ALWAYS_INLINE static __forceinline
#define LSTM_NOINLINE static __declspec(noinline)
#define LSTM_PREFETCH(address) ((void)0)
#define LSTM_PREFETCH_L2(address) ((void)0)
#endif
#if defined(__clang__)
#define LSTM_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define LSTM_UNROLL _Pragma("GCC unroll 16")
#else
#define LSTM_UNROLL
#endif
#define LSTM_LINE 64 /* bytes that a prefetch brings */

/* Every function of a template starts with one of these: the target attribute lets one binary hold
 * all paths. */
#define INLINE LSTM_ALWAYS_INLINE LSTM_TARGET
#define LOCAL LSTM_NOINLINE LSTM_TARGET

/* vector.h */
#define vec FN(vec)
#define vec_bits FN(vec_bits)
#define vec_set1 FN(vec_set1)
#define vec_load FN(vec_load)
#define vec_store FN(vec_store)
#define vec_load_some FN(vec_load_some)
#define vec_store_some FN(vec_store_some)
#define vec_fma FN(vec_fma)
#define vec_fnma FN(vec_fnma)
#define vec_min FN(vec_min)
#define vec_max FN(vec_max)
#define vec_abs FN(vec_abs)
#define vec_sign_of FN(vec_sign_of)
#define vec_positive FN(vec_positive)
#define vec_power_of_two FN(vec_power_of_two)
/* activations.h */
#define exp_parts FN(exp_parts)
#define vec_exp FN(vec_exp)
#define vec_expm1 FN(vec_expm1)
#define vec_tanh FN(vec_tanh)
#define vec_sigmoid FN(vec_sigmoid)
#define vec_hard_sigmoid FN(vec_hard_sigmoid)
#define vec_softplus FN(vec_softplus)
#define activation_of FN(activation_of)
#define gradient_of FN(gradient_of)
#define activate_array FN(activate_array)
/* tile.h */
#define operand FN(operand)
#define product FN(product)
#define product_fn FN(product_fn)
#define products FN(products)
#define gated_products FN(gated_products)
#define tile_rows FN(tile_rows)
#define before_tile_fn FN(before_tile_fn)
#define multiply_rows FN(multiply_rows)
#define gates_size FN(gates_size)
#define pack_gates FN(pack_gates)
#define columns_size FN(columns_size)
#define pack_columns FN(pack_columns)
/* forward.h */
#define forward_row FN(forward_row)
#define forward_run FN(forward_run)
#define forward_layout FN(forward_layout)
#define forward_own_layout FN(forward_own_layout)
#define forward_work FN(forward_work)
#define forward_start FN(forward_start)
#define forward_carry FN(forward_carry)
#define forward_select FN(forward_select)
#define forward_step FN(forward_step)
#define forward_inputs FN(forward_inputs)
#define forward FN(forward)
#define prefetch_caches FN(prefetch_caches)
#define update FN(update)
#define update_fn FN(update_fn)
#define update_tanh_sigmoid FN(update_tanh_sigmoid)
#define update_tanh_hard_sigmoid FN(update_tanh_hard_sigmoid)
#define update_other FN(update_other)
#define update_for FN(update_for)
#define take_states FN(take_states)
#define apply_masks FN(apply_masks)
#define products_of_unit_block FN(products_of_unit_block)
/* backward.h */
#define backward_row FN(backward_row)
#define backward_run FN(backward_run)
#define backward_layout FN(backward_layout)
#define backward_own_layout FN(backward_own_layout)
#define backward_work FN(backward_work)
#define backward_start FN(backward_start)
#define backward_select FN(backward_select)
#define backward FN(backward)
#define undo FN(undo)
#define undo_fn FN(undo_fn)
#define undo_tanh_sigmoid FN(undo_tanh_sigmoid)
#define undo_tanh_hard_sigmoid FN(undo_tanh_hard_sigmoid)
#define undo_other FN(undo_other)
#define undo_for FN(undo_for)
#define masked_product FN(masked_product)
#define prefetch_step_before FN(prefetch_step_before)
/* gradients.h */
#define gradient_factor FN(gradient_factor)
#define gradient_run FN(gradient_run)
#define gradient_layout FN(gradient_layout)
#define outer_product FN(outer_product)
#define outer_product_fn FN(outer_product_fn)
#define outer_products FN(outer_products)
#define weight_gradients_work FN(weight_gradients_work)
#define pack_factor FN(pack_factor)
#define pack_dz FN(pack_dz)
#define add_outer_products FN(add_outer_products)
#define add_chunk FN(add_chunk)
#define weight_gradients FN(weight_gradients)
#define input_gradients FN(input_gradients)

#endif
