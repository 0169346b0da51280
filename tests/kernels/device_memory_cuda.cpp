// Kernels run on the GPU. Without one, the whole program is skipped.
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

#include "kernels/device_buffer.h"

namespace caprl::kernels {
namespace {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(status));
  std::exit(1);
}

class Gpu : public ::testing::Environment {
 public:
  void SetUp() override {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status == cudaSuccess && count > 0) return;
    std::printf("SKIPPED: no GPU (%s); the kernels were not run\n", cudaGetErrorString(status));
    std::exit(0);
  }
};
const ::testing::Environment* const kGpu = ::testing::AddGlobalTestEnvironment(new Gpu);

}  // namespace

void* device_allocate(size_t bytes) {
  void* memory = nullptr;
  check(cudaMalloc(&memory, bytes), "cudaMalloc");
  return memory;
}
void device_free(void* memory) { check(cudaFree(memory), "cudaFree"); }
void copy_to_device(void* to, const void* from, size_t bytes) {
  check(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), "copy to the device");
}
// Errors of kernels that ran meanwhile come out here.
void copy_from_device(void* to, const void* from, size_t bytes) {
  check(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), "copy from the device");
}
void forbid_access(void*, size_t, bool) {}

}  // namespace caprl::kernels
