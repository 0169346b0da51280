#include "caprl/checkpoint/state.h"

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "caprl/core/philox.h"
#include "support.h"

namespace caprl {
namespace {

using namespace test;
using nlohmann::json;

TEST(State, NumbersReadBackExactly) {
  const MemoryFolder folder;
  using Limits = std::numeric_limits<double>;
  std::vector<double> numbers = {0.0,
                                 -0.0,
                                 0.1,
                                 1.0,
                                 1e23,
                                 Limits::min(),
                                 Limits::max(),
                                 Limits::denorm_min(),
                                 Limits::epsilon()};
  const CounterRng rng(1, RandomPurpose::kDemoWorld, {0});
  for (uint64_t i = 0; i < 5000; ++i) {
    const auto words = rng.block(0, i);
    const double number = std::bit_cast<double>(uint64_t{words[0]} << 32 | words[1]);
    if (std::isfinite(number)) numbers.push_back(number);
  }
  const json state = {
      {"numbers", numbers},
      {"integers", {int64_t{-9223372036854775807}, uint64_t{18446744073709551615u}}},
      {"text", "ünï\n"}};
  save_state(folder / "state.json", state);
  const json loaded = load_state(folder / "state.json");
  EXPECT_EQ(loaded["text"], state["text"]);
  EXPECT_EQ(loaded["integers"], state["integers"]);
  for (size_t i = 0; i < numbers.size(); ++i)
    EXPECT_EQ(std::bit_cast<uint64_t>(loaded["numbers"][i].get<double>()),
              std::bit_cast<uint64_t>(numbers[i]));
}

TEST(State, RefusesWhatJsonCannotSay) {
  const MemoryFolder folder;
  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL})
    expect_error<Error>(
        [&] {
          save_state(folder / "s", json{{"a", {{"b", {1.0, bad}}}}});
        },
        {folder / "s", "/a/b/1: expected a finite number"});
  EXPECT_TRUE(names_in(folder.path()).empty());
  expect_error<InputError>([&] { load_state(folder / "s"); }, {folder / "s"});
  std::ofstream(folder / "s") << "{\"a\": 1";
  expect_error<InputError>([&] { load_state(folder / "s"); }, {folder / "s", "malformed JSON"});
}

}  // namespace
}  // namespace caprl
