#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "all_kernels.h"
#include "kernel_inputs.h"

namespace caprl::ops::cpu {
namespace {

/// Rows [rows, inner] as products read them.
template <class T>
std::vector<float> packed(const TypedKernels<T>& k, const std::vector<T>& x, int64_t rows,
                          int64_t inner) {
  std::vector<float> result(packed_floats(rows, inner), NAN);
  k.pack({rows, inner, x.data(), result.data()}, 0, rows);
  return result;
}

/// The same bits as of two products, gated and packed: what a third product makes of them.
template <class T>
void check(const TypedKernels<T>& k, int64_t rows, int64_t outputs, int64_t inner, bool biased) {
  SCOPED_TRACE(testing::Message() << rows << " × " << outputs << " × " << inner);
  const auto multiply = [&](const std::vector<float>& x, const std::vector<T>& weight,
                            const std::vector<T>& bias) {
    const auto width = std::ssize(bias), depth = std::ssize(weight) / width;
    std::vector<T> y(rows * width);
    k.product({rows, width, depth, x.data(), weight.data(), bias.data(), y.data(), width}, 0,
              width);
    return y;
  };
  const auto x = packed(k, as<T>(numbers(rows * inner, 1)), rows, inner);
  const auto gate = as<T>(numbers(outputs * inner, 2)), up = as<T>(numbers(outputs * inner, 3)),
             down = as<T>(numbers(5 * outputs, 4));
  const auto bias = [&](uint64_t seed) {
    return as<T>(biased ? numbers(outputs, seed) : std::vector<float>(outputs));
  };
  const auto gate_bias = bias(5), up_bias = bias(6);
  const std::vector<T> zeros(5);

  const auto gates = multiply(x, gate, gate_bias), ups = multiply(x, up, up_bias);
  std::vector<T> gated(rows * outputs);
  k.gate({gates.data(), ups.data(), gated.data()}, 0, rows * outputs);
  const auto expected = multiply(packed(k, gated, rows, outputs), down, zeros);

  std::vector<float> together(packed_floats(rows, outputs), NAN);
  GatedProduct<T> all{rows, outputs, inner, x.data(), gate.data(), up.data()};
  if (biased) {
    all.gate_bias = gate_bias.data();
    all.up_bias = up_bias.data();
  }
  all.gated = together.data();
  const int64_t cut = outputs / 2 / 2 * 2;
  k.gated_product(all, cut, outputs);
  k.gated_product(all, 0, cut);
  const auto got = multiply(together, down, zeros);
  EXPECT_EQ(0, memcmp(got.data(), expected.data(), got.size() * sizeof(T)));
}

TEST(GatedProduct, HasTheBitsOfItsParts) {
  for (const Kernels* k : all_kernels()) {
    SCOPED_TRACE(k->name);
    for (const auto& [rows, outputs, inner] : std::vector<std::array<int64_t, 3>>{{1, 1, 1},
                                                                                  {1, 2, 8},
                                                                                  {3, 97, 24},
                                                                                  {5, 7, 33},
                                                                                  {16, 64, 576},
                                                                                  {20, 50, 800},
                                                                                  {33, 100, 77},
                                                                                  {70, 192, 96},
                                                                                  {6, 3, 4}})
      for (const bool biased : {false, true}) {
        check(k->f32, rows, outputs, inner, biased);
        check(k->bf16, rows, outputs, inner, biased);
      }
  }
}

}  // namespace
}  // namespace caprl::ops::cpu
