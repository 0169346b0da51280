// Sums of gradients over several processes are those of one.
#include <ATen/ATen.h>

#include "support/ranks.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

class SummedGradients : public TinyRun {
 protected:
  static at::Tensor of(int ranks, const std::string& dtype, int64_t stage) {
    const std::string out = path(fmt::format("{}_zero{}_{}", dtype, stage, ranks));
    Ranks run(out + ".logs", ranks,
              {CAPRL_BIN_DIR "/gradients_rank", path("captioner"), dtype, std::to_string(stage),
               out + ".safetensors"});
    for (const auto& result : run.wait()) EXPECT_EQ(result.code, 0) << result.log;
    return SafetensorsFile(out + ".safetensors").tensor("gradients").clone();
  }

  /// Of the largest gradient.
  static double difference(const at::Tensor& expected, const at::Tensor& got) {
    return ((got.to(at::kDouble) - expected).abs().max() / expected.abs().max()).item<double>();
  }
};

TEST_F(SummedGradients, AreThoseOfOneProcess) {
  const at::Tensor exact = of(1, "float64", 0);
  EXPECT_GT(exact.abs().max().item<double>(), 1e-3);
  EXPECT_GT(exact.ne(0).sum().item<int64_t>(), exact.numel() / 4);
  const double of_one = difference(exact, of(1, "float32", 0));
  EXPECT_LE(of_one, 2e-6);
  for (const int ranks : {2, 4})
    for (const int64_t stage : {0, 1, 2}) {
      SCOPED_TRACE(fmt::format("ZeRO {}, {} processes", stage, ranks));
      EXPECT_LE(difference(exact, of(ranks, "float64", stage)), 1e-12);
      EXPECT_LE(difference(exact, of(ranks, "float32", stage)), 1.1 * of_one);
    }
}

}  // namespace
}  // namespace caprl
