// What the interface of a kernel needs of CUDA, without its headers.
#pragma once

struct CUstream_st;

namespace caprl::kernels {

/// A CUDA stream (cudaStream_t). Kernels are queued on it; launchers never wait.
using Stream = CUstream_st*;

}  // namespace caprl::kernels
