/* claim.h: a flag that one thread holds at a time. Nobody waits for it: who finds it taken does
 * without, or says so. */
#ifndef CYLSTM_CLAIM_H
#define CYLSTM_CLAIM_H

#if defined(__GNUC__)

/* Takes the flag, which starts with 0; returns whether it was free. */
static inline int lstm_claim(char *flag)
{
    return !__atomic_test_and_set(flag, __ATOMIC_ACQUIRE);
}
static inline void lstm_release(char *flag) { __atomic_clear(flag, __ATOMIC_RELEASE); }

#elif defined(_MSC_VER)

#include <intrin.h>
static __inline int lstm_claim(char *flag) { return !_InterlockedExchange8(flag, 1); }
static __inline void lstm_release(char *flag) { _InterlockedExchange8(flag, 0); }

#else
#error "claim.h needs an atomic exchange: add that of this compiler"
#endif

#endif
