// Sampling from the very weights that are trained.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "caprl/core/config.h"
#include "caprl/core/philox.h"
#include "caprl/models/model.h"
#include "caprl/text/tokenizer.h"

namespace caprl {

struct SamplingParams {
  double temperature = 1.0;  // 0: greedy, the lowest id wins a tie
  int64_t top_k = 0;         // 0: off
  double top_p = 1.0;        // 1: off; applied after top_k
  int64_t max_new_tokens = 0;
  std::vector<int64_t> stop_ids;    // generation ends after one of them, which is kept
  std::vector<int64_t> banned_ids;  // never sampled
  /// Logits of tokens that the prompt or the sample has already are divided by this if positive and
  /// multiplied if negative (Keskar et al., arXiv 1909.05858, as in Hugging Face); 1: off. Not for
  /// training, which recomputes probabilities without it.
  double repetition_penalty = 1.0;
  /// Generation ends where one of these texts appears; it is not part of GeneratedSequence::text.
  std::vector<std::string> stop_texts;
  std::shared_ptr<const Tokenizer> tokenizer;  // needed with stop_texts
  int64_t num_top_logprobs = 0;     // likeliest tokens that are reported at each position
  std::vector<int64_t> scored_ids;  // tokens whose logits are reported at each position
  uint64_t seed = 0;
  uint64_t step = 0;
  RandomPurpose purpose = RandomPurpose::kTokenSampling;
};

/// Bounds of the work that is done at a time; they change no token.
struct GenerationLimits {
  double kv_cache_gb = 0;  // of keys and values, 10⁹ bytes; 0: half of the memory that is free
  int64_t max_num_seqs = 256;             // samples that are worked on at a time
  int64_t max_num_batched_tokens = 8192;  // of a forward pass
  bool enforce_eager = false;             // no CUDA graphs
  void fields(ConfigVisitor& v);
};

/// Tokens of a forward pass, given max_num_batched_tokens and max_num_seqs. On a CPU fewer: 512
/// keep all cores busy, and what a layer makes of them stays in the cores' caches.
int64_t tokens_of_a_pass(int64_t most_tokens, int64_t most_samples, bool on_gpu);

/// What a run of the engine did.
struct GenerationStats {
  int64_t prompt_tokens = 0;     // read, images' included; a prompt counts once for all its samples
  int64_t cached_tokens = 0;     // of prompts, not read: they begin like an earlier one
  int64_t tokens_read = 0;       // by all forward passes
  int64_t generated_tokens = 0;  // sampled
  int64_t steps = 0;             // forward passes
  int64_t preemptions = 0;       // samples that gave up their pages and were read again
  int64_t recomputed_tokens = 0;
  int64_t num_pages = 0, peak_pages = 0;  // of 16 tokens
  int64_t kv_cache_bytes = 0;             // of all pages
  double prefill_seconds = 0;  // of passes that read a prompt, decoding along with it included
  double decode_seconds = 0;   // of the others
  double sample_seconds = 0;   // from hidden states to tokens, part of both
  double host_seconds = 0;     // neither forward passes nor the sampler's work, part of both
  int64_t decode_tokens = 0;   // sampled in passes that read no prompt
  int64_t decode_steps = 0;    // those passes

  /// Of one run after another.
  GenerationStats& operator+=(const GenerationStats& next);
};

/// One prompt and the continuations wanted of it. All samples share the prompt's keys and values.
struct GenerationRequest {
  Prompt prompt;  // not empty, unless there are no samples
  uint64_t prompt_id = 0;
  /// Tokens to read after the prompt before sampling, one entry a sample; its size is the number of
  /// samples. Entries may be empty.
  std::vector<std::vector<int64_t>> suffixes;
  /// For prompts made of a sample of another prompt (a caption that is asked about): that sample's
  /// index. It is part of the random numbers' address.
  std::optional<uint64_t> parent_sample;
};

struct TokenLogprob {
  int64_t id = 0;
  float logprob = 0;
};

struct GeneratedSequence {
  std::vector<int64_t> ids;  // the stop token included
  /// log p of each id under the softmax of logits / temperature (logits where it is 0) over the
  /// whole vocabulary: what training recomputes. Filters, bans and penalties change what is
  /// sampled, not this.
  std::vector<float> logprobs;
  std::vector<std::vector<TokenLogprob>> top_logprobs;  // [ids][num_top_logprobs], likeliest first
  std::vector<std::vector<float>> scored_logits;        // [ids][scored_ids], before any filter
  std::optional<std::string> text;  // with stop_texts: what was generated, without special tokens
  bool stopped = false;             // false: the limit was hit
};

/// Sampling is a pure function of (weights, seed, step, prompt id, sample index, position): the
/// arg-max of logit / temperature + Gumbel noise, the noise of token id v being word v mod 4 of the
/// Philox block at counter (position, v / 4). Position 0 is the first generated token.
///
/// Keys and values live in pages that the samples of a prompt share, and prompts that begin with
/// the same tokens, page by page. Requests are worked on in
/// their order, as many at a time as the limits allow; where pages run out, the last sample is
/// set back and read again. On a CPU (float and bfloat16) tokens and log-probabilities have the
/// same bits whatever else is generated, in whatever order, under whatever limits; on a GPU logits
/// change by rounding at most.
///
/// Results come in request order: [requests][samples]. Before any work: InputError if a prompt
/// with what is to be generated exceeds the model's context or the memory for keys and values.
/// Error if logits are not finite, naming prompt and sample. Called from one thread at a time per
/// model; uses ATen's threads.
std::vector<std::vector<GeneratedSequence>> generate(const Model& model,
                                                     std::span<const GenerationRequest> requests,
                                                     const SamplingParams& params,
                                                     const GenerationLimits& limits = {},
                                                     GenerationStats* stats = nullptr);

/// The same for requests that come and go: a source that never ends needs memory for those that
/// are under way.
class Generator {
 public:
  /// The model must live as long. The cache is allocated here: limits.kv_cache_gb, or what
  /// `most_tokens` tokens need, if that is less and above 0.
  Generator(const Model& model, const SamplingParams& params, const GenerationLimits& limits,
            int64_t most_tokens = 0);
  ~Generator();

  struct Finished {
    int64_t request = 0;  // what submit() gave
    int64_t sample = 0;
    GeneratedSequence sequence;
  };

  /// Errors as generate().
  int64_t submit(GenerationRequest request);
  /// One forward pass; → samples that ended in it. Nothing is left to do if idle().
  std::vector<Finished> step();
  bool idle() const;
  /// Samples that are submitted and not finished.
  int64_t num_unfinished() const;
  GenerationStats stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace caprl
