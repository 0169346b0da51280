#include "caprl/generation/generator.h"

#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "caprl/core/error.h"
#include "caprl/core/memory.h"
#include "caprl/core/pulse.h"
#include "caprl/generation/cache_tokens.h"
#include "caprl/ops/embedding.h"
#include "caprl/ops/upload.h"
#include "decode_graphs.h"
#include "forward_batch.h"
#include "job.h"
#include "sampler.h"
#include "scheduler.h"

namespace caprl {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int64_t free_bytes(at::Device device) {
  if (device.is_cpu()) return available_memory_bytes();
  return static_cast<int64_t>(at::accelerator::getMemoryInfo(device.index()).first);
}

/// Pages for `limits`, no more than `most_tokens` need if that is known.
int64_t pages_within(const Model& model, const GenerationLimits& limits, int64_t most_tokens) {
  const at::TensorOptions options = model.head_weight().options();
  const int64_t bytes = limits.kv_cache_gb > 0 ? static_cast<int64_t>(1e9 * limits.kv_cache_gb)
                                               : free_bytes(options.device()) / 2;
  const int64_t pages = bytes / PagedCache::page_bytes(model.traits(), options);
  const int64_t most = (most_tokens + ops::kKvPageSize - 1) / ops::kKvPageSize;
  return most_tokens > 0 ? std::min(pages, most) : pages;
}

}  // namespace

class Generator::Impl {
 public:
  Impl(const Model& model, const SamplingParams& params, const GenerationLimits& limits,
       int64_t most_tokens)
      : model_(model),
        params_(params),
        sampler_(params, model.head_weight()),
        num_pages_(pages_within(model, limits, most_tokens)),
        scheduler_(num_pages_, {limits.max_num_seqs,
                                tokens_of_a_pass(limits.max_num_batched_tokens, limits.max_num_seqs,
                                                 !model.head_weight().is_cpu())}) {
    if (params.max_new_tokens < 1)
      throw Error("[generate] expected max_new_tokens ≥ 1, got {}", params.max_new_tokens);
    c10::InferenceMode guard;
    const c10::DeviceGuard device(model.head_weight().device());
    const at::TensorOptions options = model.head_weight().options().requires_grad(false);
    cache_ = std::make_unique<PagedCache>(model.traits(), num_pages_, options);
    if (!limits.enforce_eager && DecodeGraphs::possible(model))
      graphs_ = std::make_unique<DecodeGraphs>(model, *cache_);
    stats_.num_pages = num_pages_;
    stats_.kv_cache_bytes = num_pages_ * PagedCache::page_bytes(model.traits(), options);
  }

  int64_t submit(GenerationRequest request) {
    Job job(std::move(request), model_, params_);
    const RequestShape shape =
        job.shape(params_.max_new_tokens, model_.traits().image_token_id.value_or(-1));
    check_size(job, shape);
    num_unfinished_ += job.num_unfinished;
    const int64_t number = scheduler_.add(shape);
    jobs_.emplace(number, std::move(job));
    return number;
  }

  std::vector<Finished> step() {
    pulse();
    c10::InferenceMode guard;
    // Kernels are launched on the thread's current GPU; any thread may generate.
    const c10::DeviceGuard device(model_.head_weight().device());
    const auto start = Clock::now();
    const ReadingPlan plan = scheduler_.next();
    cache_->copy(plan.copies);
    ForwardBatch batch(model_, plan.stretches,
                       [this](int64_t request) -> Job& { return jobs_.at(request); });
    const double before = seconds_since(start);
    const at::Tensor hidden =
        batch.num_tokens() > 0 ? batch.run(*cache_, scheduler_, graphs_.get()) : at::Tensor();
    const double forward = seconds_since(start) - before;
    std::vector<Finished> finished;
    double sampler = 0;
    const int64_t sampled = sample(plan, hidden, finished, sampler);
    const double seconds = seconds_since(start);
    stats_.sample_seconds += seconds - forward - before;
    stats_.host_seconds += seconds - forward - sampler;
    count(plan, sampled, seconds);
    return finished;
  }

  bool idle() const { return scheduler_.done(); }
  int64_t num_unfinished() const { return num_unfinished_; }

  GenerationStats stats() const {
    GenerationStats stats = stats_;
    stats.preemptions = scheduler_.counts().preemptions;
    stats.recomputed_tokens = scheduler_.counts().recomputed_tokens;
    stats.cached_tokens = scheduler_.counts().cached_tokens;
    stats.peak_pages = scheduler_.counts().peak_pages;
    return stats;
  }

 private:
  void check_size(const Job& job, const RequestShape& shape) const {
    const int64_t suffix = *std::max_element(shape.suffixes.begin(), shape.suffixes.end());
    const int64_t tokens = shape.prompt + suffix + shape.max_new_tokens;
    const int64_t most = model_.traits().max_positions;
    if (most > 0 && tokens > most)
      throw InputError(
          "prompt {}: {} tokens and up to {} new ones exceed the model's context of {} "
          "(max_position_embeddings); {} new ones would fit",
          job.request.prompt_id, shape.prompt + suffix, shape.max_new_tokens, most,
          std::max<int64_t>(0, most - shape.prompt - suffix));
    const int64_t needed = Scheduler::pages_needed(shape);
    if (needed <= num_pages_) return;
    throw InputError(
        "prompt {}: keys and values of {} tokens need {} pages of {}, there is memory for {} "
        "({:.3g} MB; kv_cache_gb)",
        job.request.prompt_id, tokens, needed, ops::kKvPageSize, num_pages_,
        static_cast<double>(stats_.kv_cache_bytes) / 1e6);
  }

  /// Samples the next token of every line that is read to its end → how many. The sampler's own
  /// time to `seconds`.
  int64_t sample(const ReadingPlan& plan, const at::Tensor& hidden, std::vector<Finished>& finished,
                 double& seconds) {
    std::vector<Line> lines;
    std::vector<SampleRow> rows;
    std::vector<int64_t> read;       // rows of `hidden`
    std::vector<at::Tensor> states;  // of samples that follow their prompt's last token
    int64_t end = 0;
    for (const bool follows_prompt : {false, true}) {
      end = 0;
      for (const Stretch& stretch : plan.stretches) {
        end += stretch.count;
        if (!stretch.is_end || follows_prompt != (stretch.count == 0)) continue;
        Job& job = jobs_.at(stretch.line.request);
        if (stretch.line.is_prompt()) {
          if (job.has_sample_without_suffix())
            job.last_hidden = hidden.narrow(0, end - 1, 1).clone();
          continue;
        }
        follows_prompt ? states.push_back(job.last_hidden) : read.push_back(end - 1);
        lines.push_back(stretch.line);
        rows.push_back(job.sample_row(stretch.line.sample, params_));
      }
    }
    if (lines.empty()) return 0;
    if (!read.empty()) {
      const bool all = static_cast<int64_t>(read.size()) == hidden.size(0);
      states.insert(states.begin(),
                    all ? hidden : ops::take_rows(hidden, ops::upload(read, hidden.device())));
    }
    const auto start = Clock::now();
    auto tokens = sampler_.sample(states.size() == 1 ? states.front() : at::cat(states), rows);
    seconds = seconds_since(start);
    for (size_t i = 0; i < lines.size(); ++i) settle(lines[i], std::move(tokens[i]), finished);
    return static_cast<int64_t>(lines.size());
  }

  void settle(const Line& line, SampledToken token, std::vector<Finished>& finished) {
    Job& job = jobs_.at(line.request);
    if (!job.append(line.sample, std::move(token), params_)) return scheduler_.extend(line);
    finished.push_back({line.request, line.sample, std::move(job.samples[line.sample])});
    scheduler_.finish(line);
    --num_unfinished_;
    if (--job.num_unfinished == 0) jobs_.erase(line.request);
  }

  void count(const ReadingPlan& plan, int64_t sampled, double seconds) {
    int64_t prompt_tokens = 0, sample_tokens = 0;
    for (const Stretch& stretch : plan.stretches)
      (stretch.line.is_prompt() ? prompt_tokens : sample_tokens) += stretch.count;
    ++stats_.steps;
    stats_.tokens_read += prompt_tokens + sample_tokens;
    stats_.prompt_tokens += prompt_tokens;
    stats_.generated_tokens += sampled;
    if (prompt_tokens > 0) {
      stats_.prefill_seconds += seconds;
    } else {
      stats_.decode_seconds += seconds;
      stats_.decode_tokens += sampled;
      stats_.decode_steps += 1;
    }
  }

  const Model& model_;
  SamplingParams params_;
  Sampler sampler_;
  int64_t num_pages_;
  Scheduler scheduler_;
  std::unique_ptr<PagedCache> cache_;
  std::unique_ptr<DecodeGraphs> graphs_;  // null: none
  std::map<int64_t, Job> jobs_;
  int64_t num_unfinished_ = 0;
  GenerationStats stats_;
};

GenerationStats& GenerationStats::operator+=(const GenerationStats& next) {
  for (const auto sum :
       {&GenerationStats::prompt_tokens, &GenerationStats::generated_tokens,
        &GenerationStats::steps, &GenerationStats::preemptions, &GenerationStats::recomputed_tokens,
        &GenerationStats::decode_tokens, &GenerationStats::decode_steps,
        &GenerationStats::cached_tokens, &GenerationStats::tokens_read})
    this->*sum += next.*sum;
  for (const auto sum : {&GenerationStats::prefill_seconds, &GenerationStats::decode_seconds,
                         &GenerationStats::sample_seconds, &GenerationStats::host_seconds})
    this->*sum += next.*sum;
  for (const auto most : {&GenerationStats::num_pages, &GenerationStats::peak_pages,
                          &GenerationStats::kv_cache_bytes})
    this->*most = std::max(this->*most, next.*most);
  return *this;
}

Generator::Generator(const Model& model, const SamplingParams& params,
                     const GenerationLimits& limits, int64_t most_tokens)
    : impl_(std::make_unique<Impl>(model, params, limits, most_tokens)) {}
Generator::~Generator() = default;
int64_t Generator::submit(GenerationRequest request) { return impl_->submit(std::move(request)); }
std::vector<Generator::Finished> Generator::step() { return impl_->step(); }
bool Generator::idle() const { return impl_->idle(); }
int64_t Generator::num_unfinished() const { return impl_->num_unfinished(); }
GenerationStats Generator::stats() const { return impl_->stats(); }

std::vector<std::vector<GeneratedSequence>> generate(const Model& model,
                                                     std::span<const GenerationRequest> requests,
                                                     const SamplingParams& params,
                                                     const GenerationLimits& limits,
                                                     GenerationStats* stats) {
  std::vector<std::vector<GeneratedSequence>> results(requests.size());
  int64_t most_tokens = 1;
  for (const GenerationRequest& request : requests) {
    most_tokens += cache_tokens(std::ssize(request.prompt.ids), std::ssize(request.suffixes), 0,
                                params.max_new_tokens);
    for (const auto& suffix : request.suffixes) most_tokens += std::ssize(suffix);
  }
  Generator generator(model, params, limits, most_tokens);
  std::vector<size_t> indices;  // of the generator's numbers
  for (size_t i = 0; i < requests.size(); ++i) {
    results[i].resize(requests[i].suffixes.size());
    if (results[i].empty()) continue;
    generator.submit(requests[i]);
    indices.push_back(i);
  }
  while (!generator.idle())
    for (Generator::Finished& finished : generator.step())
      results[indices[finished.request]][finished.sample] = std::move(finished.sequence);
  if (stats) *stats = generator.stats();
  return results;
}

}  // namespace caprl
