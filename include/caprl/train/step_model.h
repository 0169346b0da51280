// What a GRPO step takes and what a rank holds, on paper: from shapes, lengths and the speeds that
// a machine reaches. docs/SCALING.md derives every term; tools/bench scaling holds it against runs.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "caprl/models/pass_memory.h"
#include "caprl/train/config.h"

namespace caprl {

/// Speeds that single operations reach, and the share of them that a phase does.
struct MachineSpeeds {
  double flops;               // of large products in the weights' dtype, per second
  double memory_bandwidth;    // bytes read per second
  double product_share;       // of flops, where many tokens are read at a time: training, prompts
  double decode_share;        // of both, where captions are sampled
  double memory;              // bytes of a device
  int64_t devices_per_node;   // joined by the faster links
  double link_in_node;        // bytes per second that a device sends while it receives as many
  double link_between_nodes;  // the same, of a device's share of its node's network
  double link_latency;        // seconds from one device to the next
};
/// "h100", "h200", "a100": GPUs with NVLink in nodes of eight, 400 (200) Gb/s each between nodes.
/// InputError for another name, listing these.
MachineSpeeds machine_speeds(std::string_view name);

/// Sizes of a model that decide about time and memory.
struct ModelSize {
  double weights = 0;  // all parameters but those of adapters
  double frozen = 0;   // of these
  double adapters = 0;
  double trunk = 0;   // those that every token of text is multiplied with, without the head
  double vision = 0;  // those that every image patch is multiplied with
  double vocab = 0, hidden = 0;
  double layers = 0, attention = 0;  // attention: heads · head dimension
  double kv_values = 0;              // of a token, all layers
  double cpu_kv_values = 0;          // the same as a CPU's pages have them
  double merge = 4;                  // patches of an image token
  double columns = 0;                // values of a patch
  std::function<PassMemory(const PassShape&, const PassSetting&)> pass;  // empty: nothing
  double trained() const { return weights - frozen + adapters; }
};
ModelSize model_size(const ModelDescription& description);

/// Lengths in tokens, as the data will have them on average.
struct TypicalLengths {
  double prompt = 1300;  // of a captioner's prompt, image included
  double image = 1250;   // of the image alone
  double completion = 512;
  double longest_completion = 1024;
  double spread = 0.5;       // standard deviation of completions / their mean
  double question = 90;      // a question with its options and the template around it
  double instruction = 350;  // of an answerer's or judge's prompt, before the caption
};

/// A model that scores captions by looking at the images (reward.judge).
struct JudgePlan {
  ModelSize size;  // no weights: there is none
  double bytes = 2;
  double new_tokens = 256;
  double most_samples = 256, most_batched_tokens = 8192, kv_cache_bytes = 0;
};

/// What is known of a run before it begins.
struct StepPlan {
  ModelSize policy, answerer, reference_model;
  JudgePlan judge;
  double images = 128;          // a step's, on all ranks
  double group = 8;             // captions of an image
  double questions = 8;         // draws per caption
  double answer_tokens = 10;    // sampled per question; 0: letters are read from one forward pass
  double epochs = 1;            // passes over a rollout
  double updates = 1;           // optimizer steps a rollout
  double most_samples = 256;    // worked on at a time
  double most_inquiries = 256;  // the same of questions
  double micro_tokens = 16384, loss_chunk_tokens = 2048, bucket_bytes = 128e6;
  double weight_bytes = 2, answerer_bytes = 2, reduce_bytes = 4, logit_bytes = 4;
  double response_length = 0;  // tokens that a caption may have; 0: the longest one's
  double most_batched_tokens = 8192, answerer_batched_tokens = 8192;
  double kv_cache_bytes = 0, answerer_kv_cache_bytes = 0;  // 0: what is needed
  double device_memory = 0;  // of which half of what is free may be keys and values; 0: any
  bool on_gpu = true;
  bool offload = false;            // the optimizer's state is in the host's memory
  bool prefetch = false;           // the next step's pictures are there, too
  bool copies = false;             // what checkpoints are written from, in a CPU's memory
  bool reference = false;          // log-probabilities of a KL reference are computed
  bool reference_is_base = false;  // by the policy's own weights
  double reference_bytes = 2;
  double reference_shard_layers = 0, answerer_shard_layers = 0;
  ops::Recompute recompute = ops::Recompute::kNone;
  int64_t zero_stage = 2;
  TypicalLengths lengths;
};
/// What is loaded beside the policy and the answerer; nothing: the policy's own shape, no judge.
struct OtherModels {
  std::optional<ModelDescription> reference, judge;
};
StepPlan step_plan(const GrpoConfig& config, const ModelDescription& policy,
                   const ModelDescription& answerer, const TypicalLengths& lengths,
                   const OtherModels& others = {});
/// A supervised step in the same terms: one caption of each prompt, which is given instead of
/// sampled and which nobody is asked about. A group of rows counts as one long row.
StepPlan step_plan(const SftConfig& config, const ModelDescription& policy, TypicalLengths lengths);

/// Seconds of one step, the slowest rank's.
struct StepTime {
  double rollout = 0;      // images and prompts read, captions sampled
  double reward = 0;       // captions read, questions answered
  double update = 0;       // forward, backward, optimizer
  double collectives = 0;  // what is not hidden behind the backward pass
  double waiting = 0;      // for the rank with the longest captions
  double total() const { return rollout + reward + update + collectives + waiting; }
};
/// `ranks` devices share the plan's images. Text attention is counted, other work beside matrix
/// products and memory traffic is not: an estimate from below.
StepTime predict_step(const StepPlan& plan, const MachineSpeeds& machine, int64_t ranks);

/// Bytes that one rank holds through all phases; memory_plan.h has what each phase adds.
struct RankMemory {
  double weights = 0;  // policy, answerer, reference, judge
  double gradients = 0;
  double optimizer = 0;  // master weights and moments
};
RankMemory predict_memory(const StepPlan& plan, int64_t ranks);

/// Seconds of a ring that sums or gathers `bytes` over the ranks in so many `pieces`.
double ring_seconds(double bytes, double pieces, const MachineSpeeds& machine, int64_t ranks);
/// Of the sums of a step, what the backward passes do not hide: `backward` seconds each, after each
/// of which (`every_pass`) or the last of which the `bytes` are summed in pieces of `bucket`.
double exposed_seconds(double bytes, double bucket, double backward, double passes, bool every_pass,
                       const MachineSpeeds& machine, int64_t ranks);

}  // namespace caprl
