// The one shape of work: a prefix that is read once, and branches that each continue it.
// A group of captions is a prompt with G branches; a caption's questions are branches of the
// caption; a supervised example is a prompt with one branch.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "caprl/image/image.h"
#include "caprl/models/attention.h"
#include "caprl/ops/group_attention.h"

namespace caprl {

class Model;

/// Token ids with every image's pad already expanded to its tokens, and the images in order.
struct Prompt {
  std::vector<int64_t> ids;
  std::vector<std::shared_ptr<const ImagePatches>> images;
};

struct BranchedSequence {
  Prompt prefix;                               // not empty
  std::vector<std::vector<int64_t>> branches;  // may be none; a branch may be empty
};

/// Where the trees of a batch lie in the packed token dimension: tree after tree, [prefix | branch
/// 0 | branch 1 | …].
struct BranchedLayout {
  struct Tree {
    int64_t begin = 0;                    // first token of the prefix
    int64_t prefix = 0;                   // its length
    std::vector<int64_t> branch_lengths;  // in order
    int64_t size() const;
  };
  std::vector<Tree> trees;
  int64_t num_tokens = 0;
};

/// Several trees packed without padding, on the model's device.
struct BranchedBatch {
  BranchedLayout layout;
  at::Tensor ids;           // [N] int64
  at::Tensor positions;     // [3, N] int64: temporal, height, width
  at::Tensor image_places;  // [M] int64: of the image tokens among all; undefined without any
  at::Tensor pixel_values;  // [patches, columns] of the model's dtype; undefined without images
  std::vector<std::array<int64_t, 3>> grids;  // (t, h, w) of each image
};
/// Error for an empty prefix and for ids outside the vocabulary; InputError for images that do not
/// fit the prefix's image tokens.
BranchedBatch pack(std::span<const BranchedSequence> trees, const Model& model);

/// Every prefix token attends causally to its prefix; every branch token to the whole prefix and
/// causally to its own branch (ops::group_attention). Differentiable. One object serves all layers
/// of a forward pass.
class BranchedAttention : public Attention {
 public:
  BranchedAttention(const BranchedLayout& layout, at::Device device);
  at::Tensor attend(int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const ops::RotaryTable& table) override;

 private:
  int64_t num_tokens_;
  std::shared_ptr<const ops::GroupPlan> plan_;
};

}  // namespace caprl
