// A short run of every fuzz target: seeds as they are, then damaged in random ways. `tools/fuzz`
// runs the same targets for longer, guided by coverage.
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "caprl/core/files.h"
#include "fuzz/targets.h"

namespace caprl {
namespace {

using Random = std::mt19937_64;

constexpr std::chrono::milliseconds kTime{2500};

/// One to four changes: bits, bytes that bring limits about, cuts, copies of a part.
std::string damaged(std::string bytes, Random& random) {
  constexpr uint64_t kNumbers[] = {0,          1,          0x7F,       0xFF,       0x7FFF,
                                   0xFFFFFFFF, 0x7FFFFFFF, 1ull << 32, 1ull << 62, ~0ull};
  for (uint64_t changes = 1 + random() % 4; changes > 0 && !bytes.empty(); --changes) {
    const size_t at = random() % bytes.size();
    const size_t length = std::min<size_t>(bytes.size() - at, 1 + random() % 64);
    switch (random() % 6) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
        break;
      case 1:
        bytes[at] = static_cast<char>(random());
        break;
      case 2:
        bytes.resize(at);
        break;
      case 3:
        bytes.erase(at, length);
        break;
      case 4:
        bytes.insert(random() % bytes.size(), bytes.substr(at, length));
        break;
      default: {
        const uint64_t number = kNumbers[random() % std::size(kNumbers)];
        bytes.replace(at, std::min<size_t>(8, bytes.size() - at),
                      reinterpret_cast<const char*>(&number),
                      std::min<size_t>(8, bytes.size() - at));
      }
    }
  }
  return bytes;
}

class Fuzz : public testing::TestWithParam<size_t> {};

TEST_P(Fuzz, DamagedFilesAreInputErrors) {
  const FuzzTarget& target = fuzz_targets()[GetParam()];
  std::vector<std::string> seeds;
  for (const auto& file : seed_files(target)) seeds.push_back(read_file(file));
  ASSERT_FALSE(seeds.empty());
  for (const std::string& seed : seeds) fuzz_one(target, std::as_bytes(std::span(seed)));
  Random random(GetParam());
  const auto end = std::chrono::steady_clock::now() + kTime;
  int64_t runs = 0;
  while (std::chrono::steady_clock::now() < end) {
    const std::string input = damaged(seeds[random() % seeds.size()], random);
    try {
      fuzz_one(target, std::as_bytes(std::span(input)));
    } catch (const std::exception& error) {
      FAIL() << "run " << runs << ": " << error.what();
    }
    ++runs;
  }
  RecordProperty("runs", std::to_string(runs));
  EXPECT_GT(runs, 0);
}

INSTANTIATE_TEST_SUITE_P(Targets, Fuzz, testing::Range(size_t{0}, fuzz_targets().size()),
                         [](const auto& info) {
                           return std::string(fuzz_targets()[info.param].name);
                         });

}  // namespace
}  // namespace caprl
