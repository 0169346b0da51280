// A batch of trees against every branch run on its own after its prefix.
#include <torch/csrc/autograd/autograd.h>

#include "model_files.h"

namespace caprl::test {
namespace {

std::vector<BranchedSequence> some_trees() {
  return {{golden_prompt("one_image"), {{5, 6, 7, 8}, {9}, {}, {10, 11, 12, 13, 14, 15}}},
          {golden_prompt("text"), {{20, 21}}},
          {golden_prompt("several_images"), {}},
          {golden_prompt("text"), {{30, 31, 32}, {33, 34, 35}}}};
}

struct TreeResult {
  at::Tensor hidden;  // packed as in the tree
  std::vector<at::Tensor> gradients;
};

/// A different weight for every element, so that no error cancels.
at::Tensor loss_weights(const at::Tensor& hidden, int64_t offset) {
  return at::arange(offset, offset + hidden.numel(), at::kDouble)
      .view(hidden.sizes())
      .mul(0.7)
      .sin()
      .to(hidden.scalar_type());
}

std::vector<at::Tensor> take_gradients(Model& model) {
  std::vector<at::Tensor> gradients;
  for (const auto& spec : model.parameters().specs()) {
    at::Tensor weight = model.parameters().get(spec.name);
    gradients.push_back(weight.grad().defined() ? weight.grad() : at::zeros_like(weight));
    weight.mutable_grad() = at::Tensor();
  }
  return gradients;
}

TreeResult run_packed(Model& model, const std::vector<BranchedSequence>& trees) {
  const at::Tensor hidden = run(model, pack(trees, model));
  torch::autograd::backward({(hidden * loss_weights(hidden, 0)).sum()}, {});
  return {hidden.detach(), take_gradients(model)};
}

/// Prefix and one branch as a plain sequence; each hidden state gets its loss once.
TreeResult run_unrolled(Model& model, const std::vector<BranchedSequence>& trees) {
  std::vector<at::Tensor> parts;
  at::Tensor loss;
  int64_t offset = 0;
  const auto add = [&](const at::Tensor& hidden) {
    parts.push_back(hidden.detach());
    const at::Tensor part = (hidden * loss_weights(hidden, offset)).sum();
    loss = loss.defined() ? loss + part : part;
    offset += hidden.numel();
  };
  for (const BranchedSequence& tree : trees) {
    const auto prefix = static_cast<int64_t>(tree.prefix.ids.size());
    add(run(model, pack(std::vector<BranchedSequence>{{tree.prefix, {}}}, model)));
    for (const auto& branch : tree.branches) {
      BranchedSequence plain{tree.prefix, {}};
      plain.prefix.ids.insert(plain.prefix.ids.end(), branch.begin(), branch.end());
      const at::Tensor hidden = run(model, pack(std::vector<BranchedSequence>{plain}, model));
      add(hidden.narrow(0, prefix, static_cast<int64_t>(branch.size())));
    }
  }
  torch::autograd::backward({loss}, {});
  return {at::cat(parts), take_gradients(model)};
}

class Branched : public testing::TestWithParam<const char*> {};

TEST_P(Branched, EqualsUnrolledInFloat64) {
  auto model =
      Model::load(model_dir(GetParam()), {.dtype = at::kDouble, .train = TrainedParts::kAll});
  std::vector<BranchedSequence> all = some_trees();
  if (!model->traits().image_token_id)
    for (auto& tree : all) tree.prefix = golden_prompt("text_model");
  const std::vector<std::vector<BranchedSequence>> batches = {
      all, {all[0]}, {all[1]}, {all[1], all[1]}, {all[3], all[3]}, {all[1], all[2]}};
  for (size_t i = 0; i < batches.size(); ++i) {
    SCOPED_TRACE(i);
    const TreeResult packed = run_packed(*model, batches[i]),
                     unrolled = run_unrolled(*model, batches[i]);
    EXPECT_LT(max_difference(packed.hidden, unrolled.hidden), 1e-10);
    for (size_t p = 0; p < packed.gradients.size(); ++p)
      EXPECT_LT(max_difference(packed.gradients[p], unrolled.gradients[p]),
                1e-10 * (1 + unrolled.gradients[p].abs().max().item<double>()))
          << model->parameters().specs()[p].name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Branched, testing::Values("qwen2_5_vl_hub", "qwen2"));

TEST(BranchedBfloat16, IsNearFloat64) {
  std::vector<BranchedSequence> trees = some_trees();
  for (auto& tree : trees) tree.prefix = golden_prompt("text_model");
  const auto load = [](at::ScalarType dtype) {
    return Model::load(model_dir("qwen2"), {.dtype = dtype, .train = TrainedParts::kAll});
  };
  const auto exact = load(at::kDouble), rounded = load(at::kBFloat16);
  const TreeResult want = run_packed(*exact, trees), got = run_packed(*rounded, trees);
  EXPECT_EQ(got.hidden.scalar_type(), at::kBFloat16);
  EXPECT_LT(max_difference(got.hidden, want.hidden), 0.1 * want.hidden.abs().max().item<double>());
  for (size_t i = 0; i < got.gradients.size(); ++i) {
    EXPECT_EQ(got.gradients[i].scalar_type(), at::kBFloat16);
    EXPECT_LE((got.gradients[i].to(at::kDouble) - want.gradients[i]).norm().item<double>(),
              0.1 * want.gradients[i].norm().item<double>())
        << exact->parameters().specs()[i].name;
  }
}

TEST(BranchedAttention, EveryQuerySeesExactlyItsKeys) {
  // Softmax over keys with value = one-hot of the key's place: the output is the row of attention
  // weights.
  BranchedLayout layout;
  layout.trees = {{0, 2, {2, 0, 1}}, {5, 3, {}}, {8, 1, {1, 1}}};
  layout.num_tokens = 11;
  const std::vector<std::vector<int64_t>> sees = {{0},       {0, 1}, {0, 1, 2}, {0, 1, 2, 3},
                                                  {0, 1, 4}, {5},    {5, 6},    {5, 6, 7},
                                                  {8},       {8, 9}, {8, 10}};
  const auto options = at::TensorOptions().dtype(at::kDouble);
  BranchedAttention attention(layout, at::kCPU);
  const at::Tensor equal = at::zeros({11, 2, 16}, options);  // all scores equal
  at::Tensor values = at::zeros({11, 1, 16}, options);
  for (int64_t i = 0; i < 11; ++i) values[i][0][i] = 1.0;
  const ops::RotaryTable unturned{at::ones({11, 8}, options), at::zeros({11, 8}, options)};
  const at::Tensor out = attention.attend(0, equal, equal.narrow(1, 0, 1), values, unturned);
  ASSERT_EQ(out.sizes(), at::IntArrayRef({11, 2, 16}));
  for (int64_t i = 0; i < 11; ++i) {
    at::Tensor want = at::zeros({16}, options);
    for (const int64_t key : sees[i]) want[key] = 1.0 / static_cast<double>(sees[i].size());
    for (int64_t head = 0; head < 2; ++head)
      EXPECT_LT(max_difference(out[i][head], want), 1e-15) << "query " << i;
  }
}

TEST(Pack, LayoutAndPositions) {
  const auto model = Model::load(model_dir("qwen2_5_vl_hub"), {});
  const Prompt prompt = golden_prompt("one_image");
  const auto size = static_cast<int64_t>(prompt.ids.size());
  const BranchedBatch batch =
      pack(std::vector<BranchedSequence>{{prompt, {{1, 2}, {}, {3}}}, {prompt, {{4}}}}, *model);
  ASSERT_EQ(batch.layout.trees.size(), 2u);
  EXPECT_EQ(batch.layout.trees[0].size(), size + 3);
  EXPECT_EQ(batch.layout.trees[1].begin, size + 3);
  EXPECT_EQ(batch.layout.num_tokens, 2 * size + 4);
  EXPECT_EQ(to_vector(batch.ids.slice(0, size, size + 3)), (std::vector<int64_t>{1, 2, 3}));
  const int64_t next = model->positions(prompt).next;
  EXPECT_LT(next, size);  // an image takes fewer positions than tokens
  for (int64_t axis = 0; axis < 3; ++axis)
    EXPECT_EQ(to_vector(batch.positions[axis].slice(0, size, size + 3)),
              (std::vector<int64_t>{next, next + 1, next}));
  EXPECT_EQ(batch.grids.size(), 2u);
  EXPECT_EQ(batch.pixel_values.size(0), 2 * 60);
}

TEST(Pack, Faults) {
  const auto model = Model::load(model_dir("qwen2_5_vl_hub"), {});
  const auto text_model = Model::load(model_dir("qwen2"), {});
  const auto packed = [](const Model& m, Prompt prompt) {
    return input_error([&] { pack(std::vector<BranchedSequence>{{std::move(prompt), {}}}, m); });
  };
  Prompt prompt = golden_prompt("one_image");
  EXPECT_EQ(packed(*text_model, prompt), "1 images were given to a text-only model");

  prompt.images.clear();
  EXPECT_EQ(packed(*model, prompt), "the prompt has more image tokens than its 0 images need");
  prompt = golden_prompt("one_image");
  prompt.images.push_back(prompt.images[0]);
  EXPECT_EQ(packed(*model, prompt), "the prompt has image tokens for 1 of its 2 images");
  prompt = golden_prompt("one_image");
  std::erase(prompt.ids, 91);
  prompt.ids.push_back(91);
  EXPECT_EQ(packed(*model, prompt), "image 1 of the prompt needs 15 image tokens, got 1");

  ImagePatches odd = *golden_prompt("one_image").images[0];
  odd.grid_h = 5, odd.grid_w = 12;
  prompt = {{91, 91, 91, 91, 91, 91, 91, 91, 91, 91, 91, 91},
            {std::make_shared<const ImagePatches>(odd)}};
  EXPECT_EQ(packed(*model, prompt), "expected an image of 1 × 2m × 2n patches, got 1 × 5 × 12");

  EXPECT_THROW(pack(std::vector<BranchedSequence>{{}}, *model), Error);
  EXPECT_THROW(pack(std::vector<BranchedSequence>{{{{96}, {}}, {}}}, *model), Error);
  EXPECT_THROW(pack(std::vector<BranchedSequence>{{{{1}, {}}, {{-1}}}}, *model), Error);
}

TEST(Pack, PatchesOfAnotherPreprocessor) {
  const auto model = Model::load(model_dir("qwen2_5_vl_hub"), {});
  ImagePatches image{.grid_t = 1,
                     .grid_h = 2,
                     .grid_w = 2,
                     .columns = 1176,
                     .values = std::vector<float>(4 * 1176)};
  const std::vector<BranchedSequence> trees{
      {{{91}, {std::make_shared<const ImagePatches>(image)}}, {}}};
  EXPECT_THAT(input_error([&] { model->embed(pack(trees, *model)); }),
              testing::HasSubstr("the vision tower reads patches of 96 values, got 1176"));
}

TEST(Embed, ImageTokensInABranchAreAnError) {
  const auto model = Model::load(model_dir("qwen2_5_vl_hub"), {});
  const BranchedBatch batch =
      pack(std::vector<BranchedSequence>{{golden_prompt("one_image"), {{91}}}}, *model);
  EXPECT_THROW(model->embed(batch), Error);
}

TEST(ExpandImages, EachPadBecomesItsImagesTokens) {
  const auto model = Model::load(model_dir("qwen2_5_vl_hub"), {});
  const auto images = golden_prompt("several_images").images;
  const Prompt prompt = expand_images({1, 91, 2, 91, 3}, {images[0], images[4]}, model->traits());
  EXPECT_EQ(prompt.ids, (std::vector<int64_t>{1, 91, 91, 91, 91, 2, 91, 3}));
  EXPECT_EQ(prompt.images.size(), 2u);
  EXPECT_EQ(input_error([&] {
              expand_images({1, 91}, {}, model->traits());
            }),
            "expected one image placeholder for each of 0 images, got 1");
  EXPECT_EQ(input_error([&] { expand_images({1}, {images[0]}, model->traits()); }),
            "expected one image placeholder for each of 1 images, got 0");
  const auto text_model = Model::load(model_dir("qwen2"), {});
  EXPECT_EQ(input_error([&] { expand_images({1}, {images[0]}, text_model->traits()); }),
            "1 images were given to Qwen2ForCausalLM, a text-only model");
  EXPECT_EQ(expand_images({1, 91}, {}, text_model->traits()).ids, (std::vector<int64_t>{1, 91}));
}

}  // namespace
}  // namespace caprl::test
