#include "scheduler.h"

#include <algorithm>

#include "caprl/core/error.h"
#include "caprl/ops/paged_attention.h"

namespace caprl {
namespace {

constexpr int64_t kPage = ops::kKvPageSize;

int64_t pages_for(int64_t tokens) { return (tokens + kPage - 1) / kPage; }

/// Pages of its own that a sample with `tokens` after the prompt has: the prompt's last one too, if
/// that is not full.
int64_t own_pages(int64_t prompt, int64_t tokens) {
  return tokens == 0 ? 0 : pages_for(prompt + tokens) - prompt / kPage;
}

}  // namespace

Scheduler::Scheduler(int64_t num_pages, const SchedulerLimits& limits)
    : pool_(num_pages), limits_(limits) {
  if (limits.max_num_seqs < 1 || limits.max_num_batched_tokens < 1)
    throw Error("[scheduler] expected max_num_seqs and max_num_batched_tokens ≥ 1, got {} and {}",
                limits.max_num_seqs, limits.max_num_batched_tokens);
}

int64_t Scheduler::pages_needed(const RequestShape& shape) {
  const auto longest = std::max_element(shape.suffixes.begin(), shape.suffixes.end());
  const int64_t tokens = longest == shape.suffixes.end() ? 0 : *longest + shape.max_new_tokens;
  return pages_for(shape.prompt) + own_pages(shape.prompt, tokens);
}

int64_t Scheduler::add(RequestShape shape) {
  if (shape.prompt < 1 || shape.suffixes.empty() || shape.max_new_tokens < 1)
    throw Error("[scheduler] expected a prompt, samples and max_new_tokens ≥ 1, got {}, {} and {}",
                shape.prompt, shape.suffixes.size(), shape.max_new_tokens);
  if (pages_needed(shape) > pool_.num_pages())
    throw Error("[scheduler] a request needs {} pages, there are {}", pages_needed(shape),
                pool_.num_pages());
  Request request;
  for (const int64_t suffix : shape.suffixes) request.samples.emplace_back().length = suffix;
  request.num_unfinished = static_cast<int64_t>(request.samples.size());
  request.shape = std::move(shape);
  requests_.push_back(std::move(request));
  return first_request_ + static_cast<int64_t>(requests_.size()) - 1;
}

ReadingPlan Scheduler::next() {
  ReadingPlan plan;
  budget_ = limits_.max_num_batched_tokens;
  for (Request& request : requests_) request.is_ready = request.prompt_read == request.shape.prompt;
  // Lines that give up their pages come after the one that is planned, which makes them unplanned.
  for (size_t i = 0; i < lines_.size(); ++i) plan_line(lines_[i], plan);
  admit(plan);
  if (plan.stretches.empty() && !done())
    throw Error("[scheduler] stuck with {} lines and {} free pages", lines_.size(),
                num_free_pages());
  counts_.peak_pages = std::max(counts_.peak_pages, pool_.num_pages() - num_free_pages());
  return plan;
}

void Scheduler::plan_line(const Line& line, ReadingPlan& plan) {
  const Line copy = line;  // lines_ may change
  copy.is_prompt() ? plan_prompt(copy, plan) : plan_sample(copy, plan);
}

void Scheduler::plan_prompt(const Line& line, ReadingPlan& plan) {
  Request& mine = request(line.request);
  const int64_t count = std::min(budget_, mine.shape.prompt - mine.prompt_read);
  if (count == 0) return;
  const int64_t first = mine.prompt_read;
  mine.prompt_read += count;
  budget_ -= count;
  plan.stretches.push_back({line, first, count, mine.prompt_read == mine.shape.prompt});
  // Whoever is planned after this sees what is written now.
  const int64_t whole =
      std::min<int64_t>(mine.prompt_read, std::ssize(mine.shape.prefix_ids)) / kPage;
  prefixes_.add(mine.shape.prefix_ids, std::span(mine.pages).first(static_cast<size_t>(whole)));
}

void Scheduler::plan_sample(const Line& line, ReadingPlan& plan) {
  Sample& sample = request(line.request).samples[line.sample];
  const int64_t left = sample.length - sample.read, count = std::min(budget_, left);
  if (left > 0 && (count == 0 || !make_room(line, count, plan))) return;
  const int64_t first = request(line.request).shape.prompt + sample.read;
  counts_.recomputed_tokens += std::clamp<int64_t>(sample.most_read - sample.read, 0, count);
  sample.read += count;
  sample.most_read = std::max(sample.most_read, sample.read);
  budget_ -= count;
  plan.stretches.push_back({line, first, count, sample.read == sample.length});
}

/// Starts waiting lines in their order, until one of them finds no seat, no pages or no tokens
/// left.
void Scheduler::admit(ReadingPlan& plan) {
  int64_t seats = limits_.max_num_seqs - num_running_;
  const int64_t end = first_request_ + static_cast<int64_t>(requests_.size());
  for (int64_t number = first_request_; number < end && seats > 0; ++number) {
    Request& mine = request(number);
    if (mine.num_unfinished == 0) continue;
    if (mine.pages.empty()) {
      const Line line{number};
      if (budget_ == 0) return;
      std::vector<int32_t> pages = known_beginning(mine.shape);
      const int64_t needed = pages_for(mine.shape.prompt) - std::ssize(pages);
      if (!can_afford(needed, line, plan)) return release(pages);
      mine.prompt_read = std::ssize(pages) * kPage;
      counts_.cached_tokens += mine.prompt_read;
      for (int64_t i = 0; i < needed; ++i) pages.push_back(*take_free_page());
      mine.pages = std::move(pages);
      start(line);
      plan_prompt(line, plan);
    }
    if (mine.is_ready) {
      if (!admit_samples(number, seats, plan)) return;
    } else {
      seats -= mine.num_unfinished;  // they are next
    }
  }
}

/// At least the prompt's last token is left to be read: its samples follow from it.
std::vector<int32_t> Scheduler::known_beginning(const RequestShape& shape) {
  const auto ids = std::span(shape.prefix_ids);
  return prefixes_.find(
      ids.first(static_cast<size_t>(std::min<int64_t>(shape.prompt - 1, std::ssize(ids)))));
}

bool Scheduler::admit_samples(int64_t number, int64_t& seats, ReadingPlan& plan) {
  Request& mine = request(number);
  for (size_t i = 0; i < mine.samples.size(); ++i) {
    Sample& sample = mine.samples[i];
    if (sample.state != Sample::State::kWaiting) continue;
    const Line line{number, static_cast<int64_t>(i)};
    const int64_t needed = own_pages(mine.shape.prompt, sample.length);
    if (seats == 0 || (sample.length > 0 && budget_ == 0) || !can_afford(needed, line, plan))
      return false;
    sample.state = Sample::State::kRunning;
    sample.pages = mine.pages;
    for (const int32_t page : sample.pages) pool_.share(page);
    start(line);
    plan_sample(line, plan);
    --seats;
  }
  return true;
}

/// Whether so many pages are free beside a reserve for those who run already. If nothing else is
/// planned, later lines give up theirs.
bool Scheduler::can_afford(int64_t pages, const Line& line, const ReadingPlan& plan) {
  if (num_free_pages() >= pages + num_running_ / 4) return true;
  if (!plan.stretches.empty()) return false;
  while (num_free_pages() < pages)
    if (!preempt_after(line)) return false;
  return true;
}

/// Pages to write `count` tokens to.
bool Scheduler::make_room(const Line& line, int64_t count, ReadingPlan& plan) {
  const int64_t begin =
      request(line.request).shape.prompt + request(line.request).samples[line.sample].read;
  std::vector<int32_t>& pages = request(line.request).samples[line.sample].pages;
  const int64_t first = begin / kPage;
  if (first < static_cast<int64_t>(pages.size()) && pool_.is_shared(pages[first])) {
    const auto own = take_page(line);
    if (!own) return false;
    plan.copies.push_back({pages[first], *own});
    pool_.give_back(pages[first]);
    pages[first] = *own;
  }
  while (static_cast<int64_t>(pages.size()) < pages_for(begin + count)) {
    const auto page = take_page(line);
    if (!page) return false;
    pages.push_back(*page);
  }
  return true;
}

std::optional<int32_t> Scheduler::take_page(const Line& line) {
  while (true) {
    if (const auto page = take_free_page()) return page;
    if (!preempt_after(line)) return std::nullopt;
  }
}

/// One that nobody needs, if necessary from the prefix cache.
std::optional<int32_t> Scheduler::take_free_page() {
  const auto page = pool_.take();
  return page || !prefixes_.evict() ? page : pool_.take();
}

/// Takes its pages from the last line, if that comes after `line`.
bool Scheduler::preempt_after(const Line& line) {
  if (lines_.empty() || lines_.back() <= line) return false;
  const Line last = lines_.back();
  Request& theirs = request(last.request);
  if (last.is_prompt()) {
    theirs.prompt_read = 0;
    theirs.is_ready = false;
    release(theirs.pages);
  } else {
    Sample& sample = theirs.samples[last.sample];
    sample.state = Sample::State::kWaiting;
    sample.read = 0;
    release(sample.pages);
    ++counts_.preemptions;
  }
  leave(last);
  return true;
}

void Scheduler::release(std::vector<int32_t>& pages) {
  for (const int32_t page : pages) pool_.give_back(page);
  pages.clear();
}

void Scheduler::start(const Line& line) {
  lines_.insert(std::upper_bound(lines_.begin(), lines_.end(), line), line);
  num_running_ += !line.is_prompt();
}

void Scheduler::leave(const Line& line) {
  lines_.erase(std::lower_bound(lines_.begin(), lines_.end(), line));
  num_running_ -= !line.is_prompt();
}

void Scheduler::extend(const Line& line) { ++request(line.request).samples[line.sample].length; }

void Scheduler::finish(const Line& line) {
  Request& mine = request(line.request);
  Sample& sample = mine.samples[line.sample];
  sample.state = Sample::State::kFinished;
  release(sample.pages);
  leave(line);
  if (--mine.num_unfinished > 0) return;
  release(mine.pages);
  leave({line.request});
  while (!requests_.empty() && requests_.front().num_unfinished == 0) {
    requests_.pop_front();
    ++first_request_;
  }
}

std::span<const int32_t> Scheduler::pages(const Line& line) const {
  const Request& mine = request(line.request);
  return line.is_prompt() ? mine.pages : mine.samples[line.sample].pages;
}

}  // namespace caprl
