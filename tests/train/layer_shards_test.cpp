// Frozen layers that several processes hold among them.
#include <gmock/gmock.h>

#include "support/ranks.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

class LayerShardsRun : public TinyRun {};

TEST_F(LayerShardsRun, PassesOfSomeRanksAreThoseOfTheWholeModel) {
  for (const char* dtype : {"float32", "bfloat16"})
    for (const auto& [ranks, layers] : {std::pair(2, 1), std::pair(3, 1), std::pair(3, 2)}) {
      Ranks run(
          folder_ / fmt::format("shards_{}_{}_{}", dtype, ranks, layers), ranks,
          {CAPRL_BIN_DIR "/layer_shards_rank", path("answerer"), dtype, std::to_string(layers)});
      for (const auto& result : run.wait()) EXPECT_EQ(result.code, 0) << result.log;
    }
}

}  // namespace
}  // namespace caprl
