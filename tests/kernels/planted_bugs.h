// Kernels with one bug each, of kinds that tests must find: emulation_test.cpp and its kin.
#pragma once
#include <cstddef>

namespace caprl::kernels {

/// Writes values[size].
void write_behind(float* values, int size);
/// Two warps; writes one value behind shared memory, static or dynamic.
void write_behind_static_shared(float* out);
void write_behind_dynamic_shared(float* out);
/// A 16-byte load from wherever `from` is.
void load_16_bytes(const float* from, float* out);

// out[i] = in[block − 1 − i] through shared memory, one block of two warps.
void swap_without_barrier(const int* in, int* out);
/// In two rounds (the second of what the first made) without a barrier between them.
void swap_twice_without_second_barrier(const int* in, int* out);
/// The same with values of neighbours in a warp, and __syncwarp.
void swap_in_warp_without_second_syncwarp(const int* in, int* out);
/// Counts the threads of a warp in shared memory without atomics.
void count_in_warp(int* out);

// One block of two warps whose threads wait for each other in vain.
void barrier_of_some(int num_threads);  // only the first `num_threads` come to it
void barrier_in_both_branches();        // at two lines
void barrier_in_uneven_loop();          // warp 0 once, warp 1 twice
void barrier_against_syncwarp();        // in one warp
void shuffle_with_lanes_missing();      // all lanes named, every third one absent
void shuffle_outside_its_mask();        // lane 1 calls for lane 0 only
void shuffle_from_outside_its_mask();   // lane 0 reads lane 1, which does not take part
void shuffle_after_exit();              // lane 31 has left

// Sound kernels that show how the emulation goes about it.
/// out[t]: how many threads ran before thread t; one block.
void record_order(unsigned* counter, unsigned* out, int block);
/// out[b]: what block b finds in static and dynamic shared memory, added to; 32 threads.
void read_fresh_shared(float* static_out, float* dynamic_out, int num_blocks);
void launch_with(int block, size_t shared_bytes);

}  // namespace caprl::kernels
