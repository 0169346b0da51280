// AdamW over a model's contiguous trainable weights.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "caprl/core/config.h"
#include "caprl/dist/group.h"
#include "caprl/dist/shards.h"
#include "caprl/io/safetensors.h"
#include "caprl/models/parameters.h"
#include "caprl/ops/adamw.h"
#include "caprl/train/parallel.h"

namespace caprl {

enum class LrSchedule { kConstant, kLinear, kCosine, kWsd };

/// Section `optimizer`.
struct OptimizerConfig {
  double lr = 1e-6;
  double vision_tower_lr = 0, mm_projector_lr = 0;  // 0: lr
  std::vector<double> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0.01;
  double clip_grad = 1.0;
  bool offload = false;
  LrSchedule lr_scheduler_type = LrSchedule::kConstant;
  int64_t lr_warmup_steps = 0;
  double min_lr_ratio = 0.0;
  double wsd_stable_ratio = 0.6;
  void fields(ConfigVisitor& v);
  void validate() const;  // InputError
};

class Gradients;

/// Decoupled weight decay (arXiv 1711.05101), torch.optim.AdamW's formula. Weight decay touches
/// matrices only, not biases and norms. Gradients are fp32 whatever the weights are (fp64 for fp64
/// weights), and so are the master weights of bf16 weights. Not thread safe.
///
/// Several ranks sum their gradients; from ZeRO stage 1 on each holds state and master weights of
/// its part, updates that, and gets the others' weights from them (src/train/gradients.h).
class AdamW {
 public:
  /// Takes over the gradients of `parameters`, which must outlive this, as must `group`.
  AdamW(Parameters& parameters, OptimizerConfig config, const Group& group = Group::alone(),
        const ParallelConfig& parallel = {});
  ~AdamW();
  AdamW(const AdamW&) = delete;
  AdamW& operator=(const AdamW&) = delete;

  /// One step: begin, as many times as said begin_pass · backward · end_pass, then reduce, step.
  void begin(int64_t passes);
  void begin_pass();
  void end_pass();
  void reduce();

  /// This rank's part of the gradient; of one rank [num_trainable].
  const at::Tensor& gradient() const;
  /// Euclidean norm of the whole gradient, summed in double: finite exactly if every entry is.
  double grad_norm() const;
  /// One update with the gradient scaled so that its norm is at most clip_grad (0: no clipping), as
  /// torch.nn.utils.clip_grad_norm_ does. Error, and nothing changes, if the norm is not finite.
  /// The other ranks' weights are on their way afterwards: wait_for_weights() before using any.
  void step(double lr, double grad_norm);
  void wait_for_weights();

  /// Which part of the weights and of state() this rank has.
  const Shards& shards() const;
  int shard() const;
  /// exp_avg, exp_avg_sq, step, and master for bf16 weights: everything that a resumed run needs,
  /// aliasing the live state. Values in the shards' local order.
  NamedTensors state() const;
  /// Bit-exact counterpart of state(): of every shard of `saved`, which may be other shards than
  /// those now. InputError for missing names, other sizes or dtypes; nothing has changed then.
  void load_state(const std::vector<NamedTensors>& states, const Shards& saved);
  void load_state(const NamedTensors& state) { load_state({state}, Shards(num_weights())); }

 private:
  /// Weights of this rank that lie together and are treated alike.
  struct Run {
    Extent range;   // of the weights
    int64_t local;  // place in this rank's state
    bool decayed;
    double lr_ratio;  // to lr
  };

  bool is_offloaded() const;
  at::Tensor new_state() const;  // zeros, one for each value of the gradient
  int64_t num_weights() const { return parameters_.num_trainable(); }
  void make_runs();
  double lr_ratio(const std::string& parameter) const;
  void update(const Run& run, ops::AdamWTerms terms);
  void send_weights();

  Parameters& parameters_;
  OptimizerConfig config_;
  const Group& group_;
  std::unique_ptr<Gradients> gradients_;
  at::Tensor master_, exp_avg_, exp_avg_sq_, step_;
  std::vector<Run> runs_;  // all weights of this rank, in order
  std::vector<Pending> sent_weights_;
};

}  // namespace caprl
