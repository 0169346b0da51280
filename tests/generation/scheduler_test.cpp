#include "generation/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "caprl/core/error.h"
#include "caprl/core/philox.h"
#include "caprl/ops/paged_attention.h"

namespace caprl {
namespace {

constexpr int64_t kPage = ops::kKvPageSize;

/// A cache that remembers which token of which line was written to each place, and a model that
/// knows when each sample ends.
class World {
 public:
  World(int64_t num_pages, const SchedulerLimits& limits)
      : scheduler(num_pages, limits), limits_(limits), content_(num_pages * kPage) {}

  void add(const RequestShape& shape, const std::vector<int64_t>& lengths) {
    const int64_t number = scheduler.add(shape);
    prefixes_[number] = shape.prefix_ids;
    for (size_t i = 0; i < lengths.size(); ++i)
      samples_[{number, static_cast<int64_t>(i)}] = {shape.suffixes[i], 0, lengths[i]};
    prompts_[number] = shape.prompt;
  }

  /// Reads a plan as a model would, checking that every token that it sees is in the cache.
  void step() {
    const ReadingPlan plan = scheduler.next();
    for (const PageCopy& copy : plan.copies)
      std::copy_n(content_.begin() + copy.from * kPage, kPage, content_.begin() + copy.to * kPage);
    int64_t tokens = 0;
    std::vector<Line> sampled;
    std::set<int64_t> written;
    for (const Stretch& stretch : plan.stretches) {
      const auto pages = scheduler.pages(stretch.line);
      for (int64_t place = stretch.first; place < stretch.first + stretch.count; ++place) {
        const int64_t slot = pages[place / kPage] * kPage + place % kPage;
        ASSERT_TRUE(written.insert(slot).second) << "two lines write to one place";
        content_[slot] = token_at(stretch.line, place);
      }
      tokens += stretch.count;
      if (stretch.is_end && !stretch.line.is_prompt()) sampled.push_back(stretch.line);
    }
    // After all writes: nobody wrote to what others see.
    for (const Stretch& stretch : plan.stretches) expect_seen(stretch);
    EXPECT_LE(tokens, limits_.max_num_batched_tokens);
    EXPECT_LE(scheduler.num_running(), limits_.max_num_seqs);
    for (const Line& line : sampled) sample(line);
  }

  int64_t num_sampled(const Line& line) const { return samples_.at(line).generated; }
  bool all_complete() const {
    for (const auto& [line, sample] : samples_)
      if (sample.generated != sample.wanted) return false;
    return true;
  }

  Scheduler scheduler;

 private:
  struct Sample {
    int64_t suffix, generated, wanted;
  };

  void expect_seen(const Stretch& stretch) {
    const auto pages = scheduler.pages(stretch.line);
    const int64_t prompt = prompts_.at(stretch.line.request);
    for (int64_t place = 0; place < stretch.first + stretch.count; ++place) {
      const Line owner = place < prompt ? Line{stretch.line.request} : stretch.line;
      ASSERT_EQ(content_[pages[place / kPage] * kPage + place % kPage], token_at(owner, place))
          << "request " << stretch.line.request << " sample " << stretch.line.sample << " place "
          << place;
    }
  }

  /// A token's keys and values depend on all tokens up to it: the same ones are the same to every
  /// prompt, the others are their line's.
  std::string token_at(const Line& line, int64_t place) const {
    const std::vector<int64_t>& prefix = prefixes_.at(line.request);
    std::string token;
    if (place < std::ssize(prefix) && line.is_prompt())
      for (int64_t i = 0; i <= place; ++i) token += std::to_string(prefix[i]) + " ";
    else
      token = std::to_string(line.request) + "/" + std::to_string(line.sample) + "/" +
              std::to_string(place);
    return token;
  }

  void sample(const Line& line) {
    Sample& sample = samples_.at(line);
    ASSERT_LT(sample.generated, sample.wanted) << "sampled after its end";
    if (++sample.generated == sample.wanted)
      scheduler.finish(line);
    else
      scheduler.extend(line);
  }

  SchedulerLimits limits_;
  std::vector<std::string> content_;  // which token is there
  std::map<Line, Sample> samples_;
  std::map<int64_t, int64_t> prompts_;
  std::map<int64_t, std::vector<int64_t>> prefixes_;
};

/// Requests of random sizes that each fit into `num_pages`, arriving while others are worked on.
void run_random_schedule(uint64_t seed, int64_t num_requests, SchedulerCounts* counts = nullptr) {
  const CounterRng rng(seed, RandomPurpose::kDemoWorld, {});
  uint64_t draws = 0;
  const auto below = [&](int64_t n) { return rng.below(n, draws++); };
  const int64_t num_pages = 8 + below(40);
  World world(num_pages, {.max_num_seqs = 1 + below(20), .max_num_batched_tokens = 1 + below(90)});
  int64_t submitted = 0;
  const auto submit = [&] {
    while (true) {
      RequestShape shape{1 + below(80), {}, 1 + below(40), {}};
      const int64_t known = below(2) * below(shape.prompt + 1), differs = below(shape.prompt + 1);
      for (int64_t i = 0; i < known; ++i) shape.prefix_ids.push_back(i < differs ? 7 : below(3));
      std::vector<int64_t> lengths;
      const int64_t samples = 1 + below(6);
      for (int64_t i = 0; i < samples; ++i) {
        shape.suffixes.push_back(below(3) == 0 ? below(20) : 0);
        lengths.push_back(1 + below(shape.max_new_tokens));
      }
      if (Scheduler::pages_needed(shape) > num_pages) continue;
      world.add(shape, lengths);
      ++submitted;
      return;
    }
  };
  int64_t steps = 0;
  while (submitted < num_requests || !world.scheduler.done()) {
    if (submitted < num_requests && (world.scheduler.done() || below(3) == 0)) submit();
    world.step();
    if (testing::Test::HasFatalFailure()) return;
    ASSERT_LT(++steps, 1000 * num_requests) << "no progress";
  }
  EXPECT_TRUE(world.all_complete());
  EXPECT_EQ(world.scheduler.num_free_pages(), num_pages);
  EXPECT_EQ(world.scheduler.num_running(), 0);
  if (counts) *counts = world.scheduler.counts();
}

TEST(Scheduler, EveryoneIsServedOnceWhateverThePressure) {
  int64_t preemptions = 0, recomputed = 0, cached = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    SchedulerCounts counts;
    run_random_schedule(seed, 60, &counts);
    if (HasFatalFailure()) return;
    preemptions += counts.preemptions;
    recomputed += counts.recomputed_tokens;
    cached += counts.cached_tokens;
  }
  EXPECT_GT(preemptions, 400);
  EXPECT_GT(recomputed, preemptions);
  EXPECT_GT(cached, 1000);
}

TEST(Scheduler, PromptsThatBeginAlikeAreReadFromWhereTheyDiffer) {
  World world(100, {.max_num_seqs = 8, .max_num_batched_tokens = 1000});
  std::vector<int64_t> ids(40, 7), other = ids;
  other[35] = 8;
  world.add({40, {0}, 1, ids}, {1});
  world.add({40, {0}, 1, other}, {1});  // two whole pages are the same
  world.add({40, {0}, 1}, {1});         // says nothing of its tokens
  world.step();
  EXPECT_EQ(world.scheduler.counts().cached_tokens, 2 * kPage);
  EXPECT_EQ(world.scheduler.counts().peak_pages, 3 + 1 + 3);
  while (!world.scheduler.done()) world.step();
  world.add({2 * kPage, {0}, 1, {ids.begin(), ids.begin() + 2 * kPage}}, {1});
  world.step();  // at least its last token is read, and with it the page
  EXPECT_EQ(world.scheduler.counts().cached_tokens, 3 * kPage);
  while (!world.scheduler.done()) world.step();
  EXPECT_TRUE(world.all_complete());
}

TEST(Scheduler, APromptIsReadInChunksAndOnceForItsSamples) {
  World world(100, {.max_num_seqs = 8, .max_num_batched_tokens = 30});
  world.add({70, std::vector<int64_t>(8, 0), 5}, std::vector<int64_t>(8, 5));
  std::vector<int64_t> reads;
  while (!world.scheduler.done()) {
    const int64_t before = world.scheduler.num_free_pages();
    world.step();
    reads.push_back(before - world.scheduler.num_free_pages());
  }
  // 3 chunks of the prompt, the first tokens from its last hidden state, then 4 more.
  EXPECT_EQ(reads.size(), 3u + 1 + 4);
  EXPECT_EQ(reads[0], 5);  // pages of the prompt
  EXPECT_EQ(reads[3], 0);  // shared
  EXPECT_EQ(reads[4], 8);  // each its own copy of the last page
  EXPECT_EQ(world.scheduler.counts().peak_pages, 13);
  EXPECT_EQ(world.scheduler.counts().preemptions, 0);
}

TEST(Scheduler, AWholePageIsNotCopied) {
  World world(20, {});
  world.add({2 * kPage, {0, 0}, 3}, {3, 3});
  while (!world.scheduler.done()) world.step();
  EXPECT_EQ(world.scheduler.counts().peak_pages, 4);
}

TEST(Scheduler, TheLastOneGivesWay) {
  World world(4, {});  // room for one sample at its longest, or two at their beginning
  world.add({kPage, {0, 0}, 3 * kPage}, {3 * kPage, 2 * kPage});
  while (world.scheduler.counts().preemptions == 0) world.step();
  // The second waits for a third page, keeping its two, until the first needs one of them.
  EXPECT_EQ(world.num_sampled({0, 1}), kPage + 1);
  EXPECT_GE(world.num_sampled({0, 0}), 2 * kPage + 1);
  while (!world.scheduler.done()) world.step();
  EXPECT_TRUE(world.all_complete());
  EXPECT_GT(world.scheduler.counts().recomputed_tokens, 0);
}

TEST(Scheduler, WhatCannotBeServedIsRefusedWithTheNumbers) {
  Scheduler scheduler(3, {});
  const auto error_of = [&](const RequestShape& shape) {
    try {
      scheduler.add(shape);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  using testing::HasSubstr;
  EXPECT_EQ(Scheduler::pages_needed({kPage, {0, kPage}, 2 * kPage}), 4);
  EXPECT_EQ(Scheduler::pages_needed({kPage + 1, {0}, 1}), 3);
  EXPECT_THAT(error_of({kPage, {0}, 3 * kPage}), HasSubstr("needs 4 pages, there are 3"));
  EXPECT_THAT(error_of({0, {0}, 1}), HasSubstr("expected a prompt"));
  EXPECT_THAT(error_of({1, {}, 1}), HasSubstr("expected a prompt"));
  EXPECT_THAT(error_of({1, {0}, 0}), HasSubstr("expected a prompt"));
  EXPECT_EQ(error_of({kPage, {0}, 2 * kPage}), "none");
  EXPECT_THROW(Scheduler(3, {.max_num_seqs = 0}), Error);
  EXPECT_THROW(Scheduler(3, {.max_num_batched_tokens = 0}), Error);
}

TEST(PrefixCache, GivesBackWhatWasUsedLongestAgo) {
  PagePool pool(4);
  PrefixCache cache(pool);
  const std::vector<int64_t> a(2 * kPage, 1), b(kPage, 2);
  const std::vector<int32_t> pages_a{*pool.take(), *pool.take()}, pages_b{*pool.take()};
  cache.add(a, pages_a);
  cache.add(b, pages_b);
  EXPECT_FALSE(cache.evict());  // all of them are in use
  for (const int32_t page : {pages_a[0], pages_a[1], pages_b[0]}) pool.give_back(page);
  EXPECT_EQ(pool.num_idle(), 3);
  EXPECT_EQ(pool.num_free(), 1);
  const auto found = cache.find(a);
  EXPECT_EQ(found, pages_a);
  EXPECT_EQ(pool.num_idle(), 1);
  for (const int32_t page : found) pool.give_back(page);
  EXPECT_TRUE(cache.evict());  // b's, which was used before a's
  EXPECT_EQ(pool.take(), pages_b[0]);
  EXPECT_EQ(cache.find(b), std::vector<int32_t>());
  EXPECT_TRUE(cache.evict());  // the end of a before its beginning
  EXPECT_EQ(pool.take(), pages_a[1]);
  EXPECT_EQ(cache.find(a), std::vector<int32_t>{pages_a[0]});
  pool.give_back(pages_a[0]);
  EXPECT_TRUE(cache.evict());
  EXPECT_FALSE(cache.evict());
  EXPECT_EQ(pool.num_idle(), 0);
}

TEST(PagePool, CountsHolders) {
  PagePool pool(2);
  const int32_t a = *pool.take(), b = *pool.take();
  EXPECT_NE(a, b);
  EXPECT_FALSE(pool.take());
  pool.share(a);
  EXPECT_TRUE(pool.is_shared(a));
  pool.give_back(a);
  EXPECT_FALSE(pool.is_shared(a));
  EXPECT_EQ(pool.num_free(), 0);
  pool.give_back(a);
  EXPECT_EQ(pool.take(), a);
  pool.give_back(b);
  EXPECT_THROW(pool.give_back(b), Error);
  EXPECT_THROW(pool.share(b), Error);
}

}  // namespace
}  // namespace caprl
