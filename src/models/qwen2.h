// Qwen2ForCausalLM: the text models Qwen2 and Qwen2.5.
#pragma once
#include "architecture.h"
#include "qwen2_decoder.h"

namespace caprl {

Architecture describe_qwen2(const ConfigReader& config);

/// What `text` says about traits, tying and initialisation, for every family with this decoder.
Architecture describe_qwen2_decoder(const Qwen2Config& text);

class Qwen2Model : public Model {
 public:
  Qwen2Model(ModelTraits traits, const Qwen2Config& config, Parameters parameters);

  const ModelTraits& traits() const override { return traits_; }
  Parameters& parameters() override { return parameters_; }
  const Parameters& parameters() const override { return parameters_; }
  at::Tensor embed(const BranchedBatch& batch) const override;
  at::Tensor embed_tokens(const at::Tensor& ids) const override { return decoder_.embed(ids); }
  at::Tensor decode(const at::Tensor& embeddings, const at::Tensor& positions,
                    Attention& attention) const override;
  const at::Tensor& head_weight() const override { return head_VH_; }
  Positions positions(const Prompt& prompt) const override;

 protected:
  ModelTraits traits_;
  Parameters parameters_;
  Qwen2Decoder decoder_;
  at::Tensor head_VH_;
};

}  // namespace caprl
