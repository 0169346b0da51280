// A disk that takes no more: the kernel's limit on file sizes makes writes fail as a full disk
// does.
#include <ATen/ATen.h>
#include <sys/resource.h>

#include <csignal>
#include <vector>

#include "caprl/io/jsonl.h"
#include "caprl/io/safetensors.h"
#include "support.h"

namespace caprl {
namespace {

using namespace test;

class FullDisk : public testing::Test {
 protected:
  static constexpr rlim_t kLimit = 100'000;
  FullDisk() {
    previous_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &previous_);
    const rlimit limit{kLimit, previous_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() override {
    ::setrlimit(RLIMIT_FSIZE, &previous_);
    std::signal(SIGXFSZ, previous_handler_);
  }
  TempFolder folder_;
  rlimit previous_{};
  void (*previous_handler_)(int) = nullptr;
};

TEST_F(FullDisk, TensorFileIsWholeOrAbsent) {
  write_safetensors(folder_ / "old", {{"x", at::ones({10})}});
  const std::string old = read_text(folder_ / "old");
  const at::Tensor large = at::ones({30'000});
  for (const char* name : {"new", "old"})
    expect_error<Error>(
        [&] {
          write_safetensors(folder_ / name, {{"x", large}});
        },
        {folder_ / name, "cannot write: File too large"});
  EXPECT_EQ(read_text(folder_ / "old"), old);
  EXPECT_EQ(num_entries(folder_.path()), 1u);
}

TEST_F(FullDisk, ShardsVanishTogether) {
  const NamedTensors tensors = {
      {"a", at::ones({10})}, {"b", at::ones({10})}, {"c", at::ones({30'000})}};
  expect_error<Error>([&] { write_sharded_safetensors(folder_.path(), tensors, 40); },
                      {"model-00003-of-00003.safetensors", "cannot write: File too large"});
  EXPECT_EQ(num_entries(folder_.path()), 0u);
}

TEST_F(FullDisk, CompressedLinesAreWholeOrAbsent) {
  std::vector<nlohmann::json> lines;
  uint64_t noise = 1;
  for (int i = 0; i < 40'000; ++i)
    lines.push_back(noise = noise * 6364136223846793005u + 1442695040888963407u);
  expect_error<Error>([&] { write_jsonl_zst(folder_ / "a", lines); },
                      {folder_ / "a", "cannot write: File too large"});
  EXPECT_EQ(num_entries(folder_.path()), 0u);
}

TEST_F(FullDisk, AppendedLineIsAnError) {
  JsonlAppender log(folder_ / "a");
  log.append("first");
  expect_error<Error>([&] { log.append(std::string(kLimit, 'x')); },
                      {folder_ / "a", "cannot write: File too large"});
  EXPECT_EQ(JsonlAppender(folder_ / "a").size(), 8);
}

}  // namespace
}  // namespace caprl
