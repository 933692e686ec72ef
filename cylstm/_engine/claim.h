/* claim.h: what several threads may want at once. Nobody waits: who finds a flag taken does without,
 * or says so; who finds a place settled takes what is there. */
#ifndef CYLSTM_CLAIM_H
#define CYLSTM_CLAIM_H

#include <stddef.h>

#if defined(__GNUC__)

/* Takes the flag, which starts with 0; returns whether it was free. */
static inline int lstm_claim(char *flag)
{
    return !__atomic_test_and_set(flag, __ATOMIC_ACQUIRE);
}
static inline void lstm_release(char *flag) { __atomic_clear(flag, __ATOMIC_RELEASE); }

/* What is at a place from now on: the value, if nothing (NULL) was there, or what was. */
static inline void *lstm_settle(void **place, void *value)
{
    void *found = NULL;
    return __atomic_compare_exchange_n(place, &found, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
               ? value
               : found;
}

#elif defined(_MSC_VER)

#include <intrin.h>
static __inline int lstm_claim(char *flag) { return !_InterlockedExchange8(flag, 1); }
static __inline void lstm_release(char *flag) { _InterlockedExchange8(flag, 0); }
static __inline void *lstm_settle(void **place, void *value)
{
    void *found = _InterlockedCompareExchangePointer(place, value, 0);
    return found ? found : value;
}

#else
#error "claim.h needs an atomic exchange: add that of this compiler"
#endif

#endif
