// AdamW over a model's contiguous trainable weights.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "caprl/core/config.h"
#include "caprl/io/safetensors.h"
#include "caprl/models/parameters.h"
#include "caprl/ops/adamw.h"

namespace caprl {

enum class LrSchedule { kConstant, kLinear, kCosine, kWsd };

/// Section `optimizer`.
struct OptimizerConfig {
  double lr = 1e-6;
  std::vector<double> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0.01;
  double clip_grad = 1.0;
  LrSchedule lr_scheduler_type = LrSchedule::kConstant;
  int64_t lr_warmup_steps = 0;
  double min_lr_ratio = 0.0;
  double wsd_stable_ratio = 0.6;
  void fields(ConfigVisitor& v);
  void validate() const;  // InputError
};

/// Decoupled weight decay (arXiv 1711.05101), torch.optim.AdamW's formula. Weight decay touches
/// matrices only, not biases and norms. Gradients are fp32 whatever the weights are (fp64 for fp64
/// weights): those of fp32 weights accumulate in place by autograd, those of bf16 weights are added
/// up after each backward pass by hooks. bf16 weights have fp32 master weights. Not thread safe.
class AdamW {
 public:
  /// Takes over the gradients of `parameters`, which must outlive this.
  AdamW(Parameters& parameters, OptimizerConfig config);
  ~AdamW();
  AdamW(const AdamW&) = delete;
  AdamW& operator=(const AdamW&) = delete;

  void zero_grad();
  const at::Tensor& gradient() const { return gradient_; }  // [num_trainable]
  /// Euclidean norm of the whole gradient, summed in double: finite exactly if every entry is.
  double grad_norm() const;
  /// One update with the gradient scaled so that its norm is at most clip_grad (0: no clipping), as
  /// torch.nn.utils.clip_grad_norm_ does. Error, and nothing changes, if the norm is not finite.
  void step(double lr, double grad_norm);

  /// exp_avg, exp_avg_sq, step, and master for bf16 weights: everything that a resumed run needs,
  /// aliasing the live state.
  NamedTensors state() const;
  /// Bit-exact counterpart of state(). InputError for missing names, other shapes or dtypes;
  /// nothing has changed then.
  void load_state(const NamedTensors& state);

 private:
  /// Weights that lie together and are treated alike.
  struct Run {
    int64_t offset, size;
    bool decayed;
  };

  void attach_gradients();
  void update(const Run& run, ops::AdamWTerms terms);
  Parameters& parameters_;
  OptimizerConfig config_;
  at::Tensor gradient_, master_, exp_avg_, exp_avg_sq_, step_;
  std::vector<Run> runs_;  // all trainable weights, in order
};

}  // namespace caprl
