// What a caption earns beside its right answers: each term of the reward is one class.
// docs/ADD_A_REWARD.md shows how to write one.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/core/config.h"
#include "caprl/generation/generator.h"
#include "caprl/reward/score.h"

namespace caprl {

/// [groups][captions]; absent: no value could be obtained, which makes the caption's reward absent.
using TermValues = std::vector<std::vector<std::optional<double>>>;

/// What terms may need to load models.
struct TermContext {
  uint64_t seed = 0;
  at::Device device = at::kCPU;
};

/// A model of a term, for who plans memory before it is loaded.
struct TermModel {
  std::string dir, dtype;
  int64_t max_new_tokens = 0;
  GenerationLimits limits;
};

/// A config section `reward.NAME` and the value that it gives a caption. Off at weight 0.
/// score() may be called from one thread at a time.
class RewardTerm {
 public:
  virtual ~RewardTerm() = default;
  virtual std::unique_ptr<RewardTerm> clone() const = 0;

  /// The config section, and the name under which metrics and rollouts report it.
  virtual std::string_view name() const = 0;
  virtual std::string_view doc() const = 0;
  /// Keys beside `weight`.
  virtual void term_fields(ConfigVisitor& v) = 0;
  /// Whether it needs what only a trainer knows: tokens, groups, images.
  virtual bool needs_more_than_text() const { return false; }
  /// Conditions between keys: InputError. Only of terms that are on.
  virtual void validate() const {}
  /// Of terms that are on: makes what score() needs, once the settings are final.
  virtual void open(const TermContext& /*context*/) {}
  /// What open() loads; nothing: no model.
  virtual std::optional<TermModel> model() const { return std::nullopt; }
  virtual TermValues score(std::span<const GroupToScore> groups, const GroupScores& answered,
                           uint64_t step) const = 0;

  /// The caption's reward is Σ weight · value over the terms.
  double weight() const { return weight_; }
  bool is_on() const { return weight_ != 0; }
  void fields(ConfigVisitor& v);

 private:
  double weight_ = 0;
};

/// A term that looks at one caption at a time.
class CaptionTerm : public RewardTerm {
 public:
  TermValues score(std::span<const GroupToScore> groups, const GroupScores& answered,
                   uint64_t step) const final;
  /// `answered` is what the questions gave.
  virtual std::optional<double> value(const CaptionToScore& caption,
                                      const CaptionReward& answered) const = 0;
};

/// One of each registered term (src/reward/terms/registry.cpp), with its settings; a config section
/// each. A copy has its own settings.
class RewardTerms {
 public:
  RewardTerms();
  RewardTerms(const RewardTerms& other);
  RewardTerms& operator=(const RewardTerms& other);
  RewardTerms(RewardTerms&&) noexcept = default;
  RewardTerms& operator=(RewardTerms&&) noexcept = default;
  ~RewardTerms() = default;

  void fields(ConfigVisitor& v);
  void validate() const;
  void open(const TermContext& context);
  /// Those that are on, in the registry's order.
  std::vector<const RewardTerm*> active() const;

 private:
  std::vector<std::unique_ptr<RewardTerm>> terms_;
};

}  // namespace caprl
