// Functions that are built for several instruction sets, of which the loader chooses.
#pragma once

#ifdef __x86_64__
#define CAPRL_FOR_EACH_ISA __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CAPRL_FOR_EACH_ISA
#endif
