// A model's weights: contiguous buffers with named views.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "caprl/models/lora.h"
#include "caprl/ops/linear.h"

namespace caprl {

class Group;
class LayerShards;

/// Embedding and head add their gradients to where they are summed (attach_gradient) whatever the
/// device, and do not tell: both may add to the same weight.
inline constexpr const char* kEmbeddingName = "model.embed_tokens.weight";
inline constexpr const char* kHeadName = "lm_head.weight";

struct ParameterSpec {
  std::string
      name;  // the name that published checkpoints use: "visual.…", "model.…", "lm_head.weight"
  std::vector<int64_t> shape;
  int64_t num_values() const;
};

/// How the decoder layers of a frozen model are held. A pass of one rank is then one of all:
/// Model::join_other_passes().
struct LayerSharding {
  const Group* ranks = nullptr;  // must live as long
  int64_t layers = 0;   // gathered at a time, each rank holding its part; 0: every rank holds all
  bool active() const;  // with one rank nothing is sharded
};

/// All parameters of one model in two contiguous buffers of one dtype: the trainable ones, then the
/// frozen ones, each in declaration order. Views alias the buffers, so an optimizer, a checkpoint
/// or a collective works on slices of them.
class Parameters {
 public:
  /// Uninitialised storage for `specs`; those that `trainable` accepts get requires_grad.
  /// `lora`: what those of adapters, which are among the specs, have in common.
  Parameters(std::vector<ParameterSpec> specs, at::ScalarType dtype, at::Device device,
             const std::function<bool(const std::string&)>& trainable,
             const LayerSharding& sharding = {}, LoraConfig lora = {});

  /// Copies what `values` gives for every parameter, of any dtype and device, to its place.
  void fill(const std::function<at::Tensor(const ParameterSpec&)>& values);
  /// Null: every parameter is here all the time.
  LayerShards* sharded_layers() const { return sharded_layers_.get(); }

  const at::Tensor& get(const std::string& name) const;  // throws Error for an unknown name
  bool contains(const std::string& name) const { return views_.contains(name); }
  const std::vector<ParameterSpec>& specs() const { return specs_; }
  bool is_trainable(const std::string& name) const;
  /// Whether any parameter that begins so is.
  bool any_trainable(std::string_view prefix) const;
  at::Tensor trainable_buffer() const { return trainable_; }  // [num_trainable]
  at::Tensor frozen_buffer() const { return frozen_; }        // [num_frozen], but sharded layers
  int64_t num_trainable() const { return trainable_.numel(); }
  const LoraConfig& lora() const { return lora_; }
  /// The parameter for operations that may add to its gradient's sum themselves.
  ops::Weight weight(const std::string& name) const;
  /// PREFIX.weight and, if it has one, PREFIX.bias, with the layer's adapter if it has one.
  ops::LinearWeights linear(const std::string& prefix, bool bias = true) const;
  /// From now on operations add the parameter's gradient straight to `values`, float (double for
  /// double weights), of its shape, and most tell `added`; undefined: no longer.
  void attach_gradient(const std::string& name, const at::Tensor& values,
                       std::function<void()> added = {});
  /// Those values; undefined without any.
  at::Tensor gradient(const std::string& name) const;
  /// Names, offsets and sizes of the trainable views within trainable_buffer(), in order.
  struct Slice {
    std::string name;
    int64_t offset, size;
  };
  const std::vector<Slice>& trainable_slices() const { return trainable_slices_; }

 private:
  std::vector<ParameterSpec> specs_;
  LoraConfig lora_;
  std::vector<Slice> trainable_slices_;
  at::Tensor trainable_, frozen_;
  std::shared_ptr<LayerShards> sharded_layers_;
  std::unordered_map<std::string, at::Tensor> views_;
  std::unordered_map<std::string, std::shared_ptr<ops::GradientSum>> gradients_;
};

}  // namespace caprl
