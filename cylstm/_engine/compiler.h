/* compiler.h: what compilers say in words of their own. */
#ifndef CYLSTM_COMPILER_H
#define CYLSTM_COMPILER_H

#if defined(__GNUC__) && !defined(_WIN32) /* where nothing is seen that is not exported */
#define LSTM_HIDDEN __attribute__((visibility("hidden")))
#else
#define LSTM_HIDDEN
#endif
#if defined(__GNUC__)
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
#ifdef __ELF__ /* where the linker sorts sections by name: functions of this one stay together */
#define LSTM_BESIDE(name) __attribute__((section(".text." name)))
#else
#define LSTM_BESIDE(name)
#endif
#if defined(__clang__)
#define LSTM_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define LSTM_UNROLL _Pragma("GCC unroll 16")
#else
#define LSTM_UNROLL
#endif
#define LSTM_LINE 64 /* bytes that a prefetch brings */

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#define LSTM_X86 1
#else
#define LSTM_X86 0
#endif

#endif
