#include "batcher.h"

#include <algorithm>

#include <chrono>
#include <exception>
#include <utility>

#include "caprl/core/log.h"

namespace caprl {
namespace {

using Clock = std::chrono::steady_clock;

int64_t num_captions(const std::deque<BatchWork>& works) {
  int64_t count = 0;
  for (const BatchWork& work : works) count += std::ssize(work.inquiries);
  return count;
}

}  // namespace

Batcher::Batcher(const Answerer& answerer, int64_t max_captions, double wait_s)
    : answerer_(answerer),
      max_captions_(max_captions),
      wait_s_(wait_s),
      thread_([this] { run(); }) {}

Batcher::~Batcher() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  thread_.join();
  for (BatchWork& work : waiting_) work.failed("the server is stopping");
}

void Batcher::add(BatchWork work) {
  {
    const std::lock_guard lock(mutex_);
    ++counts_.requests;
    waiting_.push_back(std::move(work));
  }
  changed_.notify_all();
}

BatchCounts Batcher::counts() const {
  const std::lock_guard lock(mutex_);
  BatchCounts counts = counts_;
  counts.waiting = std::ssize(waiting_);
  return counts;
}

void Batcher::run() {
  while (true) {
    std::vector<BatchWork> batch = take();
    if (batch.empty()) return;
    answer(std::move(batch));
  }
}

/// Waits for work, and a moment for more of it; nothing once stopped.
std::vector<BatchWork> Batcher::take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopped_ || !waiting_.empty(); });
  changed_.wait_for(lock, std::chrono::duration<double>(wait_s_),
                    [this] { return stopped_ || num_captions(waiting_) >= max_captions_; });
  std::vector<BatchWork> batch;
  int64_t captions = 0;
  while (!stopped_ && !waiting_.empty()) {
    const int64_t more = std::ssize(waiting_.front().inquiries);
    if (!batch.empty() && captions + more > max_captions_) break;
    captions += more;
    batch.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return batch;
}

void Batcher::answer(std::vector<BatchWork> batch) {
  const auto gone = std::stable_partition(batch.begin(), batch.end(),
                                          [](const BatchWork& work) { return work.is_wanted(); });
  const int64_t abandoned = batch.end() - gone;
  batch.erase(gone, batch.end());
  std::vector<Inquiry> inquiries;
  for (BatchWork& work : batch)
    inquiries.insert(inquiries.end(), std::make_move_iterator(work.inquiries.begin()),
                     std::make_move_iterator(work.inquiries.end()));
  std::vector<size_t> sizes;
  for (const BatchWork& work : batch) sizes.push_back(work.inquiries.size());

  const auto start = Clock::now();
  std::vector<std::vector<Answer>> answers;
  GenerationStats stats;
  std::string trouble;
  try {
    if (!inquiries.empty()) answers = answerer_.answer(inquiries, &stats);
  } catch (const std::exception& error) {
    trouble = error.what();
    log_error("{} requests could not be answered: {}", batch.size(), trouble);
  }
  {
    const std::lock_guard lock(mutex_);
    ++counts_.batches;
    counts_.abandoned += abandoned;
    counts_.captions += std::ssize(inquiries);
    counts_.failures += trouble.empty() ? 0 : std::ssize(batch);
    counts_.tokens_read += stats.tokens_read;
    counts_.cached_tokens += stats.cached_tokens;
    counts_.busy_seconds += std::chrono::duration<double>(Clock::now() - start).count();
    for (const auto& mine : answers)
      for (const Answer& answer : mine)
        ++(answer.valid ? counts_.answers : counts_.invalid_answers);
  }
  auto next = answers.begin();
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!trouble.empty()) {
      batch[i].failed(trouble);
      continue;
    }
    const auto end = next + static_cast<ptrdiff_t>(sizes[i]);
    try {
      batch[i].done({std::make_move_iterator(next), std::make_move_iterator(end)});
    } catch (const std::exception& error) {
      log_error("a request could not be answered: {}", error.what());
      batch[i].failed(error.what());
    }
    next = end;
  }
}

}  // namespace caprl
