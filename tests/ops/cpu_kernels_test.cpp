#include "ops/cpu/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "all_kernels.h"
#include "kernel_inputs.h"

namespace caprl::ops::cpu {
namespace {

/// The product with its rows and outputs worked on in one piece, and the bits that a row has alone.
template <class T, class Out>
void check_product(const Kernels& of, void (*kernel)(const Product<T, Out>&, int64_t, int64_t),
                   int64_t rows, int64_t outputs, int64_t inner, double tolerance) {
  SCOPED_TRACE(testing::Message() << rows << " × " << outputs << " × " << inner);
  const auto x = as<T>(numbers(rows * inner, 1));
  const auto weight = as<T>(numbers(outputs * inner, 2));
  const auto bias = as<T>(numbers(outputs, 3));
  std::vector<Out> y(rows * outputs);
  const auto packed = [&](int64_t first, int64_t count) {
    std::vector<float> result(packed_floats(count, inner), NAN);
    const Packing<T> packing{count, inner, x.data() + first * inner, result.data()};
    const int64_t cut = std::min(count, kPackedRows);
    of.of<T>().pack(packing, cut, count);
    of.of<T>().pack(packing, 0, cut);
    return result;
  };
  const std::vector<float> all_rows = packed(0, rows);
  Product<T, Out> product{rows,          outputs,     inner,    all_rows.data(),
                          weight.data(), bias.data(), y.data(), outputs};
  kernel(product, 0, outputs);
  for (int64_t m = 0; m < rows; ++m)
    for (int64_t n = 0; n < outputs; ++n) {
      double expected = kernels::to_float(bias[n]);
      for (int64_t k = 0; k < inner; ++k)
        expected += static_cast<double>(kernels::to_float(x[m * inner + k])) *
                    kernels::to_float(weight[n * inner + k]);
      ASSERT_NEAR(kernels::to_float(y[m * outputs + n]), expected,
                  tolerance * (1 + std::abs(expected) + std::sqrt(static_cast<double>(inner))));
    }
  // One row, in two ranges of outputs: the same bits.
  for (const int64_t m : {int64_t{0}, rows / 2, rows - 1}) {
    std::vector<Out> alone(outputs);
    product.rows = 1;
    const std::vector<float> row = packed(m, 1);
    product.x = row.data();
    product.y = alone.data();
    const int64_t cut = (outputs * 2 + 1) / 5;
    kernel(product, cut, outputs);
    kernel(product, 0, cut);
    ASSERT_EQ(0, memcmp(alone.data(), y.data() + m * outputs, outputs * sizeof(Out)));
  }
}

TEST(CpuKernels, ProductsMatchDoublePrecisionAndDoNotDependOnTheBatch) {
  for (const Kernels* k : all_kernels()) {
    SCOPED_TRACE(k->name);
    for (const auto& [rows, outputs, inner] : std::vector<std::array<int64_t, 3>>{{1, 1, 1},
                                                                                  {1, 7, 5},
                                                                                  {2, 3, 8},
                                                                                  {3, 100, 16},
                                                                                  {4, 97, 24},
                                                                                  {5, 10, 33},
                                                                                  {16, 64, 576},
                                                                                  {33, 100, 77},
                                                                                  {70, 11, 800},
                                                                                  {2, 5, 1537},
                                                                                  {35, 4, 1540},
                                                                                  {6, 2, 0}}) {
      check_product<float, float>(*k, k->f32.product, rows, outputs, inner, 1.5e-6);
      check_product<Bf16, Bf16>(*k, k->bf16.product, rows, outputs, inner, 4e-3);
      check_product<Bf16, float>(*k, k->product_bf16_f32, rows, outputs, inner, 1.5e-6);
    }
  }
}

template <class T>
struct Attention {
  int64_t heads, kv_heads, head_dim, num_pages;
  std::vector<T> q, k_pages, v_pages;
  std::vector<std::vector<int32_t>> sequences;  // pages
  std::vector<int64_t> lengths;                 // of the tokens
  std::vector<const int32_t*> tables;

  Attention(int64_t h, int64_t kv, int64_t d) : heads(h), kv_heads(kv), head_dim(d), num_pages(40) {
    const int64_t padded = padded_head(d);
    k_pages = as<T>(numbers(num_pages * kv * d * kPageSize, 7));
    auto values = numbers(num_pages * kv * padded * kPageSize, 8);
    for (size_t i = 0; i < values.size(); ++i)
      if (static_cast<int64_t>(i) % padded >= d) values[i] = 0;
    v_pages = as<T>(values);
    // Three sequences with the same first two pages, and one by itself, each of several tokens.
    sequences = {{3, 1, 9, 20}, {3, 1, 5}, {3, 1, 7, 8, 30}, {11, 12}};
    const std::vector<std::vector<int64_t>> seen = {{50, 51, 52}, {33}, {64, 65}, {1, 16, 17, 32}};
    for (size_t s = 0; s < sequences.size(); ++s)
      for (const int64_t length : seen[s]) {
        lengths.push_back(length);
        tables.push_back(sequences[s].data());
      }
    q = as<T>(numbers(num_tokens() * h * d, 9));
  }
  int64_t num_tokens() const { return static_cast<int64_t>(lengths.size()); }

  PagedRows<T> rows(std::vector<T>& out) const {
    out.assign(q.size(), T{});
    PagedRows<T> p;
    p.heads = heads;
    p.kv_heads = kv_heads;
    p.head_dim = head_dim;
    p.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim)));
    p.q = q.data();
    p.q_stride = heads * head_dim;
    p.out = out.data();
    p.k_pages = k_pages.data();
    p.v_pages = v_pages.data();
    p.lengths = lengths.data();
    p.tables = tables.data();
    return p;
  }

  std::vector<double> expected(int64_t token, int64_t head) const {
    const int64_t kv = head / (heads / kv_heads), padded = padded_head(head_dim);
    std::vector<double> scores, result(head_dim);
    double total = 0;
    const auto place = [&](int64_t j) { return tables[token][j / kPageSize] * kv_heads + kv; };
    for (int64_t j = 0; j < lengths[token]; ++j) {
      double score = 0;
      for (int64_t d = 0; d < head_dim; ++d)
        score += static_cast<double>(kernels::to_float(q[(token * heads + head) * head_dim + d])) *
                 kernels::to_float(k_pages[(place(j) * head_dim + d) * kPageSize + j % kPageSize]);
      scores.push_back(std::exp(score / std::sqrt(static_cast<double>(head_dim))));
      total += scores.back();
    }
    for (int64_t j = 0; j < lengths[token]; ++j)
      for (int64_t d = 0; d < head_dim; ++d)
        result[d] +=
            scores[j] / total *
            kernels::to_float(v_pages[(place(j) * kPageSize + j % kPageSize) * padded + d]);
    return result;
  }
};

template <class T, class Kernel>
void check_attention(Kernel kernel, int64_t heads, int64_t kv_heads, int64_t head_dim,
                     double tolerance) {
  SCOPED_TRACE(testing::Message() << heads << " heads, " << kv_heads << " of keys, " << head_dim);
  const Attention<T> problem(heads, kv_heads, head_dim);
  std::vector<float> scratch(
      problem.num_tokens() * kv_heads * scratch_floats(heads / kv_heads, head_dim), NAN);
  std::vector<T> alone, together;
  const PagedRows<T> one_by_one = problem.rows(alone), in_blocks = problem.rows(together);
  for (int64_t h = 0; h < kv_heads; ++h)
    for (int64_t t = 0; t < problem.num_tokens(); ++t)
      kernel(one_by_one, {t, 1, 0}, {h, h + 1}, scratch.data());
  const int64_t cut = kv_heads / 2;
  kernel(in_blocks, {0, 6, 2}, {0, kv_heads}, scratch.data());
  kernel(in_blocks, {6, 4, 2}, {0, cut}, scratch.data());
  kernel(in_blocks, {6, 4, 2}, {cut, kv_heads}, scratch.data());
  for (int64_t t = 0; t < problem.num_tokens(); ++t)
    for (int64_t h = 0; h < heads; ++h) {
      const auto expected = problem.expected(t, h);
      for (int64_t d = 0; d < head_dim; ++d)
        ASSERT_NEAR(kernels::to_float(alone[(t * heads + h) * head_dim + d]), expected[d],
                    tolerance);
    }
  ASSERT_EQ(0, memcmp(alone.data(), together.data(), alone.size() * sizeof(T)));
}

TEST(CpuKernels, PagedAttentionMatchesDoublePrecisionWhateverIsDoneAtOnce) {
  for (const Kernels* k : all_kernels()) {
    SCOPED_TRACE(k->name);
    for (const auto& [heads, kv_heads, head_dim] : std::vector<std::array<int64_t, 3>>{
             {1, 1, 4}, {6, 2, 4}, {9, 3, 64}, {8, 1, 80}, {10, 2, 24}, {14, 2, 64}}) {
      check_attention<float>(k->f32.attend, heads, kv_heads, head_dim, 2e-6);
      check_attention<Bf16>(k->bf16.attend, heads, kv_heads, head_dim, 1e-2);
    }
  }
}

TEST(CpuKernels, AttentionSurvivesScoresThatOverflowAnExponential) {
  for (const Kernels* k : all_kernels()) {
    Attention<float> problem(1, 1, 16);
    for (float& value : problem.q) value *= 400;
    std::vector<float> out, scratch(scratch_floats(1, 16));
    const PagedRows<float> rows = problem.rows(out);
    for (int64_t t = 0; t < problem.num_tokens(); ++t)
      k->f32.attend(rows, {t, 1, 0}, {0, 1}, scratch.data());
    for (const float value : out) ASSERT_TRUE(std::isfinite(value)) << k->name;
  }
}

/// Forward and backward of normed rows, in two ranges of rows, against double precision.
template <class T>
void check_norm(const TypedKernels<T>& k, int64_t rows, int64_t width, double tolerance) {
  SCOPED_TRACE(testing::Message() << rows << " × " << width);
  const auto x = as<T>(numbers(rows * width, 1)), delta = as<T>(numbers(rows * width, 2)),
             weight = as<T>(numbers(width, 3)), g = as<T>(numbers(rows * width, 4)),
             g_sum = as<T>(numbers(rows * width, 5));
  std::vector<T> sum(x.size()), normed(x.size()), d_sum(x.size());
  std::vector<float> scale(rows), d_weight(width, 0.5f);
  constexpr float kEps = 0.01f;
  const NormRows<T> forward{width,      x.data(),      delta.data(), weight.data(),
                            sum.data(), normed.data(), scale.data(), kEps};
  NormGradients<T> backward{width,         g.data(),     g_sum.data(), sum.data(),
                            weight.data(), scale.data(), d_sum.data()};
  k.norm(forward, 0, rows);
  k.norm_backward(backward, 0, rows / 2, d_weight.data());
  k.norm_backward(backward, rows / 2, rows, d_weight.data());
  std::vector<double> expected_weight(width, 0.5);
  const auto at = [&](const std::vector<T>& values, int64_t row, int64_t i) {
    return static_cast<double>(kernels::to_float(values[row * width + i]));
  };
  for (int64_t row = 0; row < rows; ++row) {
    double squares = 0, along = 0;
    for (int64_t i = 0; i < width; ++i) {
      ASSERT_NEAR(at(sum, row, i), at(x, row, i) + at(delta, row, i), tolerance);
      squares += at(sum, row, i) * at(sum, row, i);
    }
    const double expected_scale = 1 / std::sqrt(squares / static_cast<double>(width) + kEps);
    ASSERT_NEAR(scale[row], expected_scale, 1e-5 * expected_scale);
    for (int64_t i = 0; i < width; ++i)
      along += at(g, row, i) * at(weight, 0, i) * at(sum, row, i) * expected_scale /
               static_cast<double>(width);
    for (int64_t i = 0; i < width; ++i) {
      const double unit = at(sum, row, i) * expected_scale;
      ASSERT_NEAR(at(normed, row, i), unit * at(weight, 0, i), tolerance * 4);
      const double through = at(g, row, i) * at(weight, 0, i);
      ASSERT_NEAR(at(d_sum, row, i), (through - unit * along) * expected_scale + at(g_sum, row, i),
                  tolerance * 8);
      expected_weight[i] += at(g, row, i) * unit;
    }
  }
  for (int64_t i = 0; i < width; ++i)
    ASSERT_NEAR(d_weight[i], expected_weight[i], 1e-5 * static_cast<double>(rows));
  // What is not wanted is not written, and changes nothing else.
  const std::vector<T> before = d_sum;
  k.norm_backward(backward, 0, rows, nullptr);
  ASSERT_EQ(0, memcmp(before.data(), d_sum.data(), before.size() * sizeof(T)));
}

TEST(CpuKernels, NormsAndTheirGradientsMatchDoublePrecision) {
  for (const Kernels* k : all_kernels()) {
    SCOPED_TRACE(k->name);
    for (const auto& [rows, width] :
         std::vector<std::array<int64_t, 2>>{{2, 1}, {3, 7}, {5, 16}, {4, 37}, {9, 96}, {2, 576}}) {
      check_norm(k->f32, rows, width, 3e-6);
      check_norm(k->bf16, rows, width, 2e-2);
    }
  }
}

template <class T>
void check_gate(const TypedKernels<T>& k, int64_t count, double tolerance) {
  SCOPED_TRACE(testing::Message() << count << " elements");
  auto values = numbers(count, 1);
  for (float& value : values) value *= 4;
  for (size_t i = 0; i < values.size(); i += 5) values[i] *= 30;  // where e^x overflows
  const auto gate = as<T>(values), up = as<T>(numbers(count, 2)), g = as<T>(numbers(count, 3));
  std::vector<T> out(count), d_gate(count), d_up(count);
  const int64_t cut = count * 2 / 5;
  const GateValues<T> forward{gate.data(), up.data(), out.data()};
  k.gate(forward, 0, cut);
  k.gate(forward, cut, count);
  const GateGradients<T> backward{gate.data(), up.data(), g.data(), d_gate.data(), d_up.data()};
  k.gate_backward(backward, 0, cut);
  k.gate_backward(backward, cut, count);
  for (int64_t i = 0; i < count; ++i) {
    const double x = kernels::to_float(gate[i]), u = kernels::to_float(up[i]),
                 d = kernels::to_float(g[i]), s = 1 / (1 + std::exp(-x));
    const auto near = [&](T value, double expected) {
      ASSERT_NEAR(kernels::to_float(value), expected, tolerance * (1 + std::abs(expected)));
    };
    near(out[i], x * s * u);
    near(d_gate[i], d * u * s * (1 + x * (1 - s)));
    near(d_up[i], d * x * s);
  }
  // The product again where its gradient was: the same bits.
  std::vector<T> again = g, d_gate_again(count), d_up_again(count);
  k.gate_backward(
      {gate.data(), up.data(), again.data(), d_gate_again.data(), d_up_again.data(), again.data()},
      0, count);
  const size_t bytes = count * sizeof(T);
  EXPECT_EQ(0, memcmp(again.data(), out.data(), bytes));
  EXPECT_EQ(0, memcmp(d_gate_again.data(), d_gate.data(), bytes));
  EXPECT_EQ(0, memcmp(d_up_again.data(), d_up.data(), bytes));
}

TEST(CpuKernels, GatesAndTheirGradientsMatchDoublePrecision) {
  for (const Kernels* k : all_kernels()) {
    SCOPED_TRACE(k->name);
    for (const int64_t count : {1, 15, 16, 17, 500}) {
      check_gate(k->f32, count, 3e-6);
      check_gate(k->bf16, count, 2e-2);
    }
  }
}

}  // namespace
}  // namespace caprl::ops::cpu
