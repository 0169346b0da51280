// Builds without CUDA: no tensor is of a device with kernels.
#include "caprl/core/error.h"
#include "caprl/ops/recording.h"
#include "ops/fused/kernels.h"

namespace caprl::ops::fused {
namespace {

[[noreturn]] void unavailable() { throw Error("[kernels] this build has none (preset cuda)"); }

}  // namespace

bool runs_on(const at::Tensor&) { return false; }
bool has_attention_kernel(int64_t, int64_t, int64_t, at::ScalarType) { return false; }
void policy_loss(const LossProblem&, LossOutput&) { unavailable(); }
void embedding_gradient(const at::Tensor&, const at::Tensor&, int64_t, at::Tensor&) {
  unavailable();
}
std::vector<at::Tensor> rotate(const at::Tensor&, const at::Tensor&, const RotaryTable&) {
  unavailable();
}
bool paged_attention(const at::Tensor&, const at::Tensor&, const at::Tensor&, const RotaryTable&,
                     KvPages&, const PagedBatch&, at::Tensor&) {
  unavailable();
}
bool join(Attended&, const Attended&) { unavailable(); }
void add_column_sums(const at::Tensor&, at::Tensor&) { unavailable(); }
AddedNorm add_rms_norm(const at::Tensor&, const at::Tensor&, const at::Tensor&, double) {
  unavailable();
}
at::Tensor rms_norm_backward(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                             const at::Tensor&, const at::Tensor&, at::Tensor&) {
  unavailable();
}
at::Tensor swiglu(const at::Tensor&, const at::Tensor&) { unavailable(); }
at::Tensor swiglu_backward(const at::Tensor&, const at::Tensor&, const at::Tensor&) {
  unavailable();
}
std::vector<at::Tensor> linear_each(const at::Tensor&, std::span<const LinearWeights>) {
  unavailable();
}
at::Tensor feed_forward(const at::Tensor&, const FeedForwardWeights&) { unavailable(); }
void adamw(const AdamWTensors&, const AdamWTerms&) { unavailable(); }
at::Tensor squared_norm(const at::Tensor&) { unavailable(); }
SampledRows sample_rows(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                        const SampleTerms&) {
  unavailable();
}
void logprobs(const LogprobProblem&, at::Tensor&, at::Tensor&) { unavailable(); }
bool renew(const AttentionPlan&, const PagedBatch&) { unavailable(); }

}  // namespace caprl::ops::fused

namespace caprl::ops {

struct Recording::Graph {};
Recording::Recording() = default;
Recording::~Recording() = default;
bool Recording::possible(at::Device) { return false; }
void Recording::record(const std::function<void()>&) { fused::unavailable(); }
void Recording::replay() { fused::unavailable(); }

}  // namespace caprl::ops
