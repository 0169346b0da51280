// Work done ahead of its use.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <variant>

namespace caprl {

/// Calls make(begin), make(begin + 1), … make(end − 1) on a thread of its own, at most `capacity`
/// results ahead of next(). An exception of make(i) comes out of the next() that would have given
/// its result; nothing is made after it. next() and ready() are for one thread at a time.
/// Destruction waits for the call in progress and drops what was not taken.
template <class T>
class PrefetchQueue {
 public:
  PrefetchQueue(std::function<T(int64_t)> make, int64_t begin, int64_t end, size_t capacity)
      : make_(std::move(make)), capacity_(capacity), left_(end - begin) {
    producer_ = std::thread([this, begin, end] { produce(begin, end); });
  }
  ~PrefetchQueue() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    producer_.join();
  }
  PrefetchQueue(const PrefetchQueue&) = delete;
  PrefetchQueue& operator=(const PrefetchQueue&) = delete;

  /// The results in order, then, or after an exception, nothing.
  std::optional<T> next() {
    if (left_ <= 0) return std::nullopt;
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !results_.empty(); });
    Result result = std::move(results_.front());
    results_.pop_front();
    lock.unlock();
    changed_.notify_all();
    --left_;
    if (auto* failure = std::get_if<std::exception_ptr>(&result)) {
      left_ = 0;
      std::rethrow_exception(*failure);
    }
    return std::get<T>(std::move(result));
  }

  /// Whether next() would not wait.
  bool ready() {
    if (left_ <= 0) return true;
    const std::lock_guard lock(mutex_);
    return !results_.empty();
  }

 private:
  using Result = std::variant<T, std::exception_ptr>;

  Result make_result(int64_t index) {
    try {
      return Result(std::in_place_index<0>, make_(index));
    } catch (...) {
      return Result(std::in_place_index<1>, std::current_exception());
    }
  }

  void produce(int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopped_ || results_.size() < capacity_; });
        if (stopped_) return;
      }
      Result result = make_result(index);
      const bool failed = result.index() == 1;
      {
        const std::lock_guard lock(mutex_);
        results_.push_back(std::move(result));
      }
      changed_.notify_all();
      if (failed) return;
    }
  }

  std::function<T(int64_t)> make_;
  const size_t capacity_;
  int64_t left_;  // results that next() has yet to give; the consumer's own
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Result> results_;
  bool stopped_ = false;
  std::thread producer_;
};

}  // namespace caprl
