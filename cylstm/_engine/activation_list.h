/* activation_list.h: the activations that the engines know, once. Their numbers, the switches of
 * activations.h and `_core.ACTIVATIONS` are made of it.
 *
 * To add one: a line here, its two functions in activations.h, and the function of the same name
 * with its derivative in activations.py.
 */
#ifndef CYLSTM_ACTIVATION_LIST_H
#define CYLSTM_ACTIVATION_LIST_H

/* Of one number each */
#define LSTM_ELEMENTWISE(F)                                                                        \
    F(linear) F(tanh) F(sigmoid) F(hard_sigmoid) F(hard_sigmoid_6) F(relu) F(elu) F(selu)          \
    F(softplus) F(softsign)
/* Of all units of a gate together: tiles see only some, so that the products are BLAS' */
#define LSTM_ROWWISE(F) F(softmax)

#define LSTM_NUMBER(name) lstm_##name,
#define LSTM_PLUS_ONE(name) +1
enum { LSTM_ELEMENTWISE(LSTM_NUMBER) LSTM_ROWWISE(LSTM_NUMBER) lstm_activation_count };
enum { lstm_elementwise_count = 0 LSTM_ELEMENTWISE(LSTM_PLUS_ONE) };
#endif
