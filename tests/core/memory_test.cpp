#include "caprl/core/memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <memory>
#include <vector>

namespace caprl {
namespace {

int64_t page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

/// Of memory that is allocated, written to and freed.
int64_t faults_of(int64_t bytes) {
  const int64_t before = page_faults();
  const auto memory = std::make_unique_for_overwrite<volatile char[]>(bytes);
  for (int64_t i = 0; i < bytes; i += 4096) memory[i] = 1;
  return page_faults() - before;
}

TEST(Memory, WhatIsFreedIsKeptForWhatComesNext) {
#if !defined(__GLIBC__) || CAPRL_SANITIZED
  GTEST_SKIP() << "memory is not glibc's to keep";
#endif
  constexpr int64_t kBytes = int64_t{24} << 20;
  keep_freed_memory();
  EXPECT_GT(faults_of(kBytes), 1000) << "this memory was there before";
  EXPECT_LT(faults_of(kBytes), 100);
}

TEST(Memory, ResidentAndAvailableBytesAreThoseOfThisMachine) {
  const int64_t before = resident_memory_bytes();
  std::vector<char> more(int64_t{64} << 20, 1);
  EXPECT_GE(resident_memory_bytes() - before, int64_t{60} << 20);
  EXPECT_GT(available_memory_bytes(), 0);
}

}  // namespace
}  // namespace caprl
