// A decoder with its output head, and what all text families share in describing one.
#pragma once
#include "architecture.h"
#include "decoder.h"

namespace caprl {

/// What `text` says about traits and initialisation, for every family with this decoder.
Architecture describe_decoder(const DecoderConfig& text);
/// A text-only model: `config` is where tie_word_embeddings stands.
Architecture describe_text_model(const ConfigReader& config, const DecoderConfig& text);

class TextModel : public Model {
 public:
  TextModel(ModelTraits traits, const DecoderConfig& config, Parameters parameters);

  const ModelTraits& traits() const override { return traits_; }
  Parameters& parameters() override { return parameters_; }
  const Parameters& parameters() const override { return parameters_; }
  Embeddings embed(const BranchedBatch& batch) const override;
  at::Tensor embed_tokens(const at::Tensor& ids) const override { return decoder_.embed(ids); }
  at::Tensor decode(const Embeddings& embeddings, const at::Tensor& positions,
                    Attention& attention) const override;
  const at::Tensor& head_weight() const override { return head_VH_; }
  Positions positions(const Prompt& prompt) const override;
  void set_recompute(ops::Recompute recompute) override { decoder_.set_recompute(recompute); }

 protected:
  ModelTraits traits_;
  Parameters parameters_;
  Decoder decoder_;
  at::Tensor head_VH_;
};

}  // namespace caprl
