#include "caprl/train/profile.h"

#include <ATen/Context.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include "caprl/core/error.h"

namespace caprl {
namespace {

namespace profiler = torch::autograd::profiler;
using Activity = torch::profiler::impl::ActivityType;

}  // namespace

Trace::Trace() {
  const profiler::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
  std::set<Activity> activities{Activity::CPU};
  if (at::hasCUDA()) activities.insert(Activity::CUDA);
  profiler::prepareProfiler(config, activities);
  profiler::enableProfiler(config, activities);
}

Trace::~Trace() {
  if (recording_) profiler::disableProfiler();
}

void Trace::save(const std::filesystem::path& path) {
  recording_ = false;
  const auto result = profiler::disableProfiler();
  std::error_code failure;
  std::filesystem::create_directories(path.parent_path(), failure);
  if (!failure) result->save(path.string());
  if (failure || !std::filesystem::exists(path, failure))
    throw Error("the trace {} cannot be written{}{}", path.string(), failure ? ": " : "",
                failure ? failure.message() : "");
}

struct TracedPhase::Span {
  at::RecordFunction record{at::RecordScope::USER_SCOPE};
};

TracedPhase::TracedPhase(const char* name) : span_(std::make_unique<Span>()) {
  if (span_->record.isActive()) span_->record.before(name);
}
TracedPhase::~TracedPhase() = default;

}  // namespace caprl
