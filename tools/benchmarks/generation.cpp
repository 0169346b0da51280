// The caprl side of `tools/bench generation`: greedy tokens of a batch of prompts.
//   caprl-bench-generation MODEL DTYPE BATCH PROMPT_TOKENS NEW_TOKENS THREADS
// Prints the first tokens, as peer_generation.py does. Then every line on stdin asks for one round;
// the answer is its seconds. After the last one stderr gets what the engine says of itself and how
// near the machine's limits that is.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <array>
#include <atomic>
#include <iostream>
#include <numeric>

#include "caprl/core/parallel.h"
#include "caprl/generation/generator.h"
#include "caprl/ops/linear.h"
#include "round_program.h"

namespace caprl {
namespace {

/// The same ids as the peer's.
std::vector<GenerationRequest> make_requests(int64_t batch, int64_t length) {
  std::vector<GenerationRequest> requests(batch);
  for (int64_t i = 0; i < batch; ++i) {
    for (int64_t j = 0; j < length; ++j)
      requests[i].prompt.ids.push_back(100 + (i * 7919 + j * 104729) % 40000);
    requests[i].suffixes = {{}};
  }
  return requests;
}

constexpr int kTries = 20;  // a machine with others on it shows its limits rarely

/// Bytes a second that all threads read from memory.
double memory_bandwidth() {
  constexpr int64_t kNumbers = int64_t{32} << 20, kSums = 32;
  const std::vector<uint64_t> data(kNumbers, 1);
  double best = 0;
  for (int i = 0; i < kTries; ++i) {
    std::atomic<uint64_t> total = 0;
    const auto start = Clock::now();
    parallel_for(0, kNumbers / kSums, 1, [&](int64_t first, int64_t last) {
      std::array<uint64_t, kSums> sums{};
      for (int64_t row = first; row < last; ++row)
        for (int64_t j = 0; j < kSums; ++j) sums[j] += data[row * kSums + j];
      total += std::accumulate(sums.begin(), sums.end(), uint64_t{0});
    });
    best = std::max(best, static_cast<double>(kNumbers * sizeof(uint64_t)) / seconds_since(start));
    if (total != kNumbers) throw Error("[bench] the numbers' sum is wrong");
  }
  return best;
}

/// Operations a second of a large product, by the library that is quicker at it.
double product_rate(at::ScalarType dtype) {
  constexpr int64_t kSide = 1536;
  const at::Tensor a = at::randn({kSide, kSide}).to(dtype), b = at::randn({kSide, kSide}).to(dtype);
  const ops::LinearWeights weights{{b, {}}, {}, {}};
  double best = 0;
  for (int i = 0; i < 2 * kTries; ++i) {
    const auto start = Clock::now();
    if (i % 2 == 0)
      at::mm(a, b);
    else
      ops::linear(a, weights);
    best = std::max(best, 2.0 * kSide * kSide * kSide / seconds_since(start));
  }
  return best;
}

void report(const Model& model, at::ScalarType dtype, const GenerationStats& stats, int64_t batch,
            int64_t context) {
  int64_t weights = 0;
  for (const auto& spec : model.parameters().specs())
    weights += model.parameters().get(spec.name).numel();
  const ModelTraits& traits = model.traits();
  const double cache = static_cast<double>(batch * context * traits.num_layers *
                                           traits.num_kv_heads * traits.head_dim * 2);
  const double bytes =
      static_cast<double>(c10::elementSize(dtype)) * (static_cast<double>(weights) + cache);
  const double operations = 2.0 * static_cast<double>(batch * weights);
  const double step = stats.decode_seconds / static_cast<double>(stats.decode_steps);
  const double bandwidth = memory_bandwidth(), rate = product_rate(dtype);
  std::cerr << "a decode step takes " << 1e3 * step << " ms, "
            << 100 * stats.sample_seconds / (stats.decode_seconds + stats.prefill_seconds)
            << " % of it after the layers, "
            << 100 * stats.host_seconds / (stats.decode_seconds + stats.prefill_seconds)
            << " % the engine's own work; its bytes take " << 1e3 * bytes / bandwidth << " ms at "
            << bandwidth / 1e9 << " GB/s, its products " << 1e3 * operations / rate << " ms at "
            << rate / 1e9
            << " GFLOP/s: " << 100 * std::max(bytes / bandwidth, operations / rate) / step
            << " % of the limit that binds\n";
}

int bench(int argc, char** argv) {
  if (argc != 7)
    throw InputError(
        "usage: caprl-bench-generation MODEL DTYPE BATCH PROMPT_TOKENS NEW_TOKENS THREADS");
  const int64_t batch = std::stoll(argv[3]), length = std::stoll(argv[4]),
                tokens = std::stoll(argv[5]);
  at::set_num_threads(std::stoi(argv[6]));
  const at::ScalarType dtype = parse_dtype(argv[2], "DTYPE");
  const auto model = Model::load(argv[1], {.dtype = dtype});
  const auto requests = make_requests(batch, length);
  SamplingParams params;
  params.temperature = 0;
  params.max_new_tokens = 8;
  for (const auto& samples : generate(*model, requests, params))
    for (const int64_t id : samples[0].ids) std::cout << id << " ";
  std::cout << std::endl;
  params.max_new_tokens = tokens;
  GenerationStats stats;
  answer_rounds([&] { generate(*model, requests, params, {}, &stats); });
  if (stats.decode_steps > 0) report(*model, dtype, stats, batch, length + tokens / 2);
  return 0;
}

}  // namespace
}  // namespace caprl

int main(int argc, char** argv) { return caprl::run_round_program(argc, argv, caprl::bench); }
