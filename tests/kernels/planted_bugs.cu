#include "kernels/planted_bugs.h"

#include "kernels/device.h"

namespace caprl::kernels {
namespace {

constexpr int kBlock = 64;

__global__ void write_behind_kernel(float* values, int size) { values[size] = 1; }

__global__ void static_shared_kernel(float* out, unsigned shift) {
  __shared__ float array[kBlock];
  float* volatile values = array;  // out of sight of what knows the array's size
  values[threadIdx.x + shift] = 1;
  __syncthreads();
  out[threadIdx.x] = values[threadIdx.x];
}

__global__ void dynamic_shared_kernel(float* out, unsigned shift) {
  CAPRL_DYNAMIC_SHARED(float, values);
  values[threadIdx.x + shift] = 1;
  __syncthreads();
  out[threadIdx.x] = values[threadIdx.x];
}

__global__ void load_kernel(const float* from, float* out) { *out = load_pack(from).values[3]; }

__global__ void swap_kernel(const int* in, int* out) {
  __shared__ int values[kBlock];
  values[threadIdx.x] = in[threadIdx.x];
  out[threadIdx.x] = values[kBlock - 1 - threadIdx.x];
}

__global__ void swap_twice_kernel(const int* in, int* out) {
  __shared__ int values[kBlock];
  int value = in[threadIdx.x];
  for (int round = 0; round < 2; ++round) {
    values[threadIdx.x] = value;
    __syncthreads();
    value = values[kBlock - 1 - threadIdx.x];
  }
  out[threadIdx.x] = value;
}

__global__ void swap_in_warp_kernel(const int* in, int* out) {
  __shared__ int values[kBlock];
  int value = in[threadIdx.x];
  for (int round = 0; round < 2; ++round) {
    values[threadIdx.x] = value;
    __syncwarp();
    value = values[threadIdx.x ^ 1u];
  }
  out[threadIdx.x] = value;
}

__global__ void count_kernel(int* out) {
  __shared__ int count;
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  count += 1;
  __syncthreads();
  if (threadIdx.x == 0) *out = count;
}

__global__ void some_kernel(unsigned num_threads) {
  if (threadIdx.x < num_threads) __syncthreads();
}

__global__ void branches_kernel() {
  if (threadIdx.x < 40) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void loop_kernel() {
  for (unsigned i = 0; i <= threadIdx.x / kWarp; ++i) __syncthreads();
}

__global__ void against_kernel() {
  if (threadIdx.x % 2 == 0) {
    __syncthreads();
  } else {
    __syncwarp();
  }
}

__global__ void missing_kernel() {
  if (threadIdx.x % 3 != 0) __shfl_xor_sync(kAllLanes, 1.0f, 1);
}

__global__ void outside_kernel() {
  if (threadIdx.x == 1) __shfl_sync(1u, 1, 0);
}

__global__ void from_outside_kernel() {
  if (threadIdx.x == 0) __shfl_down_sync(1u, 1, 1);
}

__global__ void exit_kernel() {
  if (threadIdx.x % kWarp == 31) return;
  __ballot_sync(kAllLanes, 1);
}

__global__ void order_kernel(unsigned* counter, unsigned* out) {
  out[threadIdx.x] = atomicAdd(counter, 1u);
}

__global__ void fresh_kernel(float* static_out, float* dynamic_out) {
  __shared__ float fixed;
  CAPRL_DYNAMIC_SHARED(float, values);
  if (threadIdx.x != 0) return;
  static_out[blockIdx.x] = fixed;
  dynamic_out[blockIdx.x] = values[0];
  fixed = values[0] = 1;
}

__global__ void idle_kernel() {}

}  // namespace

void write_behind(float* values, int size) {
  launch(write_behind_kernel, 1, 1, 0, nullptr, values, size);
}
void write_behind_static_shared(float* out) {
  launch(static_shared_kernel, 1, kBlock, 0, nullptr, out, 1u);
}
void write_behind_dynamic_shared(float* out) {
  launch(dynamic_shared_kernel, 1, kBlock, kBlock * sizeof(float), nullptr, out, 1u);
}
void load_16_bytes(const float* from, float* out) {
  launch(load_kernel, 1, 1, 0, nullptr, from, out);
}

void swap_without_barrier(const int* in, int* out) {
  launch(swap_kernel, 1, kBlock, 0, nullptr, in, out);
}
void swap_twice_without_second_barrier(const int* in, int* out) {
  launch(swap_twice_kernel, 1, kBlock, 0, nullptr, in, out);
}
void swap_in_warp_without_second_syncwarp(const int* in, int* out) {
  launch(swap_in_warp_kernel, 1, kBlock, 0, nullptr, in, out);
}
void count_in_warp(int* out) { launch(count_kernel, 1, kWarp, 0, nullptr, out); }

void barrier_of_some(int num_threads) {
  launch(some_kernel, 1, kBlock, 0, nullptr, static_cast<unsigned>(num_threads));
}
void barrier_in_both_branches() { launch(branches_kernel, 1, kBlock, 0, nullptr); }
void barrier_in_uneven_loop() { launch(loop_kernel, 1, kBlock, 0, nullptr); }
void barrier_against_syncwarp() { launch(against_kernel, 1, kBlock, 0, nullptr); }
void shuffle_with_lanes_missing() { launch(missing_kernel, 1, kBlock, 0, nullptr); }
void shuffle_outside_its_mask() { launch(outside_kernel, 1, kBlock, 0, nullptr); }
void shuffle_from_outside_its_mask() { launch(from_outside_kernel, 1, kBlock, 0, nullptr); }
void shuffle_after_exit() { launch(exit_kernel, 1, kBlock, 0, nullptr); }

void record_order(unsigned* counter, unsigned* out, int block) {
  launch(order_kernel, 1, block, 0, nullptr, counter, out);
}
void read_fresh_shared(float* static_out, float* dynamic_out, int num_blocks) {
  launch(fresh_kernel, static_cast<unsigned>(num_blocks), kWarp, sizeof(float), nullptr, static_out,
         dynamic_out);
}
void launch_with(int block, size_t shared_bytes) {
  launch(idle_kernel, 1, block, shared_bytes, nullptr);
}

}  // namespace caprl::kernels
