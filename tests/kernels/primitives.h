// Small kernels that show what device functions do, for primitives_test.cpp. Device pointers.
#pragma once
#include <cstdint>

#include "kernels/math/bf16.h"

namespace caprl::kernels {

/// One block of `num_threads`, whole warps; [T] is one value for each thread.
template <class T>
struct Shuffles {
  const T* in = nullptr;  // [T]
  int num_threads = 0;
  int argument = 0, width = 32;
  T *from_lane = nullptr, *from_xor = nullptr, *from_up = nullptr, *from_down = nullptr;  // [T]
};
template <class T>
void run_shuffles(const Shuffles<T>& shuffles);

struct Votes {
  const int* in = nullptr;  // [T] predicates
  int num_threads = 0;
  unsigned* ballot = nullptr;          // [T]
  int *any = nullptr, *all = nullptr;  // [T]
  unsigned* ballot_of_half = nullptr;  // [T] among the even or the odd lanes only
};
void run_votes(const Votes& votes);

/// out[b] = {sum, maximum, sum again} over the block's `block` values of `in`.
template <class T>
void run_block_reductions(const T* in, T* out, int num_blocks, int block);

/// Results of a function at x[i] and y[i], in the order of the names in primitives_test.cpp.
inline constexpr int kNumBitFunctions = 11, kNumFloatFunctions = 11;
void run_bit_functions(const unsigned* x, const unsigned* y, int count, unsigned* out);
void run_float_functions(const float* x, const float* y, int count, float* out);

/// What every thread of the grid adds up; each target a single value, `values` one per thread.
struct Atomics {
  const int* values = nullptr;
  int *sum = nullptr, *max = nullptr, *min = nullptr;
  unsigned* unsigned_max = nullptr;
  unsigned long long* wide_sum = nullptr;
  float* float_sum = nullptr;
};
void run_atomics(const Atomics& atomics, int num_blocks, int block);

/// Every thread writes its place in the grid, counted row by row, into its element of `out`.
void run_grid_places(unsigned x, unsigned y, unsigned z, int block, int64_t* out);

/// Each block turns its `block` values round through dynamic shared memory.
void run_reversal(const float* in, float* out, int num_blocks, int block);

/// Neighbours in a warp add up through shared memory with __syncwarp in between, `rounds` times.
void run_warp_exchange(const int* in, int* out, int block, int rounds);

/// c [16, 8] += a [16, 16] · b [16, 8] on tensor cores, row-major; b's words are those that
/// load_transposed gives of b's rows.
void run_matrix_product(const Bf16* a, const Bf16* b, float* c);

}  // namespace caprl::kernels
