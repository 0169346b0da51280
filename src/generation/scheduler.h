// Which tokens the next forward pass reads. Lengths and pages only: no tensors, no token ids.
#pragma once
#include <compare>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "page_pool.h"
#include "prefix_cache.h"

namespace caprl {

struct SchedulerLimits {
  int64_t max_num_seqs = 256;             // samples that are worked on at a time
  int64_t max_num_batched_tokens = 8192;  // of a forward pass
};

/// What the scheduler needs to know of a request.
struct RequestShape {
  int64_t prompt = 0;             // tokens, at least one
  std::vector<int64_t> suffixes;  // of each sample: tokens to read before it is sampled
  int64_t max_new_tokens = 0;
  /// The prompt's beginning as far as its tokens alone say what it is (before any image): other
  /// prompts that begin so may share its pages.
  std::vector<int64_t> prefix_ids = {};
};

/// A prompt (sample −1) or one of its samples. In the order of arrival, a prompt before its
/// samples.
struct Line {
  static constexpr int64_t kPrompt = -1;
  int64_t request = 0, sample = kPrompt;
  bool is_prompt() const { return sample == kPrompt; }
  auto operator<=>(const Line&) const = default;
};

/// Tokens of a line to read. Places count from the prompt's first token, for samples, too.
struct Stretch {
  Line line;
  int64_t first = 0;    // place
  int64_t count = 0;    // 0: a sample whose next token follows the prompt's last one
  bool is_end = false;  // all of the line is read then: a sample's next token can be sampled
};

/// A page that a sample is about to write while others hold it: `to` becomes its own copy.
struct PageCopy {
  int32_t from = 0, to = 0;
};

struct ReadingPlan {
  std::vector<PageCopy> copies;    // before anything is read
  std::vector<Stretch> stretches;  // in the order of lines
};

struct SchedulerCounts {
  int64_t preemptions = 0;        // samples that gave up their pages
  int64_t recomputed_tokens = 0;  // read once more because of that
  int64_t cached_tokens = 0;      // of prompts, not read: another one's pages hold them
  int64_t peak_pages = 0;
};

/// Continuous batching in the order of arrival: nobody overtakes. A prompt is read first, in
/// chunks, from where it differs from those before it; its samples then share its pages, and copy
/// the last one when they write to it. When pages run out, the last line gives up its own and is
/// read again later. The first line can get all pages that way, so that everyone is served in the
/// end.
class Scheduler {
 public:
  Scheduler(int64_t num_pages, const SchedulerLimits& limits);

  /// Pages that one sample of the request needs when it is served alone.
  static int64_t pages_needed(const RequestShape& shape);

  /// → its number, from 0. Error if it needs more pages than there are.
  int64_t add(RequestShape shape);
  /// Not empty unless done(). All of it has to be read before the next call.
  ReadingPlan next();
  /// A token was sampled for the line, which goes on.
  void extend(const Line& line);
  /// The line is complete.
  void finish(const Line& line);

  /// Of a line in the current plan.
  std::span<const int32_t> pages(const Line& line) const;
  bool done() const { return requests_.empty(); }
  int64_t num_running() const { return num_running_; }
  /// Pages that a line can have at once, those of the prefix cache among them.
  int64_t num_free_pages() const { return pool_.num_free() + pool_.num_idle(); }
  const SchedulerCounts& counts() const { return counts_; }

 private:
  struct Sample {
    enum class State { kWaiting, kRunning, kFinished } state = State::kWaiting;
    int64_t length = 0;          // tokens after the prompt
    int64_t read = 0;            // of them in the cache
    int64_t most_read = 0;       // before a preemption
    std::vector<int32_t> pages;  // the prompt's and its own
  };
  struct Request {
    RequestShape shape;
    std::vector<Sample> samples;
    int64_t prompt_read = 0;
    bool is_ready = false;       // the whole prompt was read in an earlier step
    std::vector<int32_t> pages;  // the prompt's; empty: not in the cache
    int64_t num_unfinished = 0;
  };

  Request& request(int64_t number) { return requests_[number - first_request_]; }
  const Request& request(int64_t number) const { return requests_[number - first_request_]; }
  void plan_line(const Line& line, ReadingPlan& plan);
  void plan_prompt(const Line& line, ReadingPlan& plan);
  void plan_sample(const Line& line, ReadingPlan& plan);
  void admit(ReadingPlan& plan);
  std::vector<int32_t> known_beginning(const RequestShape& shape);
  bool admit_samples(int64_t number, int64_t& seats, ReadingPlan& plan);
  bool can_afford(int64_t pages, const Line& line, const ReadingPlan& plan);
  bool make_room(const Line& line, int64_t count, ReadingPlan& plan);
  std::optional<int32_t> take_page(const Line& line);
  bool preempt_after(const Line& line);
  std::optional<int32_t> take_free_page();
  void release(std::vector<int32_t>& pages);
  void start(const Line& line);
  void leave(const Line& line);

  PagePool pool_;
  PrefixCache prefixes_{pool_};
  SchedulerLimits limits_;
  std::deque<Request> requests_;  // from first_request_ on, the first one unfinished
  int64_t first_request_ = 0;
  std::vector<Line> lines_;  // that hold pages, sorted
  int64_t num_running_ = 0;  // samples among them
  int64_t budget_ = 0;       // tokens that the plan in the making may still read
  SchedulerCounts counts_;
};

}  // namespace caprl
