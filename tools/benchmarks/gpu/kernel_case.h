// One memory-bound operation as the kernel benchmark measures it.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace caprl::bench {

using Tensors = std::vector<at::Tensor>;

/// Somebody's way to do the operation on one of the sets of inputs; gives what it computed.
struct Way {
  std::string name;
  std::function<Tensors(int64_t set)> run;
};

/// Made when it is measured and dropped after that, since some fill the device's memory.
struct KernelCase {
  std::string shape;
  int64_t bytes = 0;       // the fewest that must be read and written, every value once
  int64_t num_sets = 1;    // of inputs, which together are several times the second-level cache
  bool comparable = true;  // peers compute the same from the same inputs, whatever ran before
  Way caprl;
  std::vector<Way> peers;
};

struct NamedCase {
  std::string name;
  std::function<KernelCase()> make;
};

std::vector<NamedCase> attention_cases();
std::vector<NamedCase> layer_cases();
std::vector<NamedCase> optimizer_cases();
std::vector<NamedCase> sampler_cases();

/// Sets of inputs of `bytes` each that no cache holds together.
inline int64_t sets_of(int64_t bytes) {
  constexpr int64_t kTogether = int64_t{512} << 20;
  return bytes >= kTogether ? 1 : (kTogether + bytes - 1) / bytes;
}

inline int64_t bytes_of(const Tensors& tensors) {
  int64_t sum = 0;
  for (const at::Tensor& tensor : tensors) sum += static_cast<int64_t>(tensor.nbytes());
  return sum;
}

}  // namespace caprl::bench
