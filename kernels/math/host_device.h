// Plain functions that CPU code and CUDA kernels share carry this mark.
#pragma once
#ifdef __CUDACC__
#define CAPRL_HOST_DEVICE __host__ __device__
#else
#define CAPRL_HOST_DEVICE
#endif

/// For what becomes vector code only within its caller's loop, built for the caller's instructions.
#define CAPRL_ALWAYS_INLINE inline __attribute__((always_inline))
