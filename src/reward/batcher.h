// Inquiries of many requests, answered together.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "answerer.h"

namespace caprl {

/// What a request waits for.
struct BatchWork {
  std::vector<Inquiry> inquiries;
  /// Whether somebody still wants the answers.
  std::function<bool()> is_wanted;
  /// One of them is called, on the batcher's thread: with the answers, or with what went wrong, be
  /// it in done() itself.
  std::function<void(std::vector<std::vector<Answer>>)> done;
  std::function<void(const std::string& message)> failed;
};

struct BatchCounts {
  int64_t batches = 0, requests = 0, captions = 0, answers = 0, invalid_answers = 0, failures = 0,
          abandoned = 0;  // requests whose client had gone
  int64_t tokens_read = 0, cached_tokens = 0;
  int64_t waiting = 0;  // requests in the queue now
  double busy_seconds = 0;
};

/// A thread that takes whatever waits, up to a number of captions, and asks the answerer about all
/// of it at once.
class Batcher {
 public:
  /// The answerer must live as long.
  Batcher(const Answerer& answerer, int64_t max_captions, double wait_s);
  /// Fails what is still waiting.
  ~Batcher();

  void add(BatchWork work);
  BatchCounts counts() const;

 private:
  void run();
  std::vector<BatchWork> take();
  void answer(std::vector<BatchWork> batch);

  const Answerer& answerer_;
  const int64_t max_captions_;
  const double wait_s_;
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::deque<BatchWork> waiting_;
  BatchCounts counts_;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace caprl
