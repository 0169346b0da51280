// Products of small matrices by a warp's tensor cores, and what feeds them. All lanes of the warp
// take part. kernels/emulation/device_matrix.h is its counterpart on the CPU.
#pragma once
#include <cuda_runtime.h>
#include <stdint.h>

namespace caprl::kernels {

/// c += a · b of bfloat16 with sums in float: a [16, 16], b [16, 8], c [16, 8]. With g = lane / 4
/// and t = lane % 4 a lane holds, two values of a row (of b: of a column) to a word, the first in
/// the lower half:
///   a[0]: row g, columns 2t, 2t+1; a[1]: row g+8; a[2], a[3]: the same 8 columns further;
///   b[0]: column g, rows 2t, 2t+1; b[1]: 8 rows further;
///   c[0], c[1]: row g, columns 2t, 2t+1; c[2], c[3]: row g+8.
__device__ inline void multiply_add_16x8x16(float (&c)[4], const uint32_t (&a)[4],
                                            const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Four matrices of 8 x 8 16-bit values from shared memory, transposed: `row` of lane 8m + r is the
/// 16-byte aligned address of row r of matrix m. words[m]: of column g of matrix m, rows 2t, 2t+1.
__device__ inline void load_transposed(uint32_t (&words)[4], const void* row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(address)
               : "memory");
}

/// The same without transposing: words[m] is of row g of matrix m, columns 2t, 2t+1.
__device__ inline void load_rows(uint32_t (&words)[4], const void* row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(address)
               : "memory");
}

/// Begins to copy 16 bytes from global to shared memory, both aligned, or to make them zero unless
/// `real`. Copies up to end_async_copies() make a group.
__device__ inline void copy_async(void* shared, const void* global, bool real = true) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  const int bytes = real ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(global),
               "r"(bytes)
               : "memory");
}
__device__ inline void end_async_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until all but the last kGroups groups of this thread have arrived.
template <int kGroups>
__device__ inline void wait_async_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
}

}  // namespace caprl::kernels
