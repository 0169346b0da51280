// Functions that are built for several instruction sets, of which the loader chooses: before
// ThreadSanitizer could check how, so that there is one of each with it.
#pragma once

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define CAPRL_ONE_ISA
#endif
#endif

#if defined(__x86_64__) && !defined(CAPRL_ONE_ISA) && !defined(__SANITIZE_THREAD__)
#define CAPRL_FOR_EACH_ISA __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CAPRL_FOR_EACH_ISA
#endif
