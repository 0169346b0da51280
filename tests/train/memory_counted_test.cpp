// The memory plan against what an allocator counts while real steps run: phase by phase, models
// with the proportions of the published ones, of 4 million weights, so that a step's sums,
// positions and the like are less than a hundredth.
#include <ATen/ATen.h>

#include "caprl/generation/prompts.h"
#include "caprl/io/json.h"
#include "caprl/train/learner.h"
#include "caprl/train/memory_plan.h"
#include "support/counting_allocator.h"
#include "support/tiny_run.h"
#include "train/policy_update.h"
#include "train/share.h"

namespace caprl {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr int64_t kImages = 6, kCaptions = 8, kCaptionTokens = 28, kQuestions = 4;
constexpr double kTemplate = 5;  // tokens around a caption or a question

json decoder_sizes() {
  return {{"hidden_size", 192},       {"intermediate_size", 960}, {"num_hidden_layers", 6},
          {"num_attention_heads", 6}, {"num_key_value_heads", 2}, {"head_dim", 32},
          {"vocab_size", 2048}};
}

/// What InternVL looks like in transformers, with the demonstration's tokens.
json internvl(const json& qwen) {
  json text = decoder_sizes();
  text["model_type"] = "qwen3";
  text["rms_norm_eps"] = 1e-6;
  return {{"architectures", {"InternVLForConditionalGeneration"}},
          {"image_token_id", qwen["image_token_id"]},
          {"tie_word_embeddings", true},
          {"text_config", text},
          {"vision_config",
           {{"num_hidden_layers", 4},
            {"hidden_size", 96},
            {"intermediate_size", 384},
            {"num_attention_heads", 3},
            {"image_size", 224},
            {"patch_size", 14},
            {"attention_bias", true}}}};
}

class MemoryCounted : public TinyRun {
 protected:
  static void SetUpTestSuite() {
    TinyRun::SetUpTestSuite();
    json captioner = read_json(folder_ / "captioner/config.json");
    const json other = internvl(captioner);
    captioner.update(decoder_sizes());
    captioner["rope_scaling"] = {{"type", "mrope"}, {"mrope_section", {4, 6, 6}}};
    captioner["vision_config"].update({{"depth", 4},
                                       {"hidden_size", 96},
                                       {"intermediate_size", 256},
                                       {"num_heads", 3},
                                       {"out_hidden_size", 192},
                                       {"fullatt_block_indexes", {1, 3}}});
    json pixels = read_json(folder_ / "captioner/preprocessor_config.json");
    pixels["min_pixels"] = 224 * 224;
    write("captioner", "qwen", captioner, pixels);
    pixels["image_processor_type"] = "GotOcr2ImageProcessor";
    pixels["size"] = {{"height", 224}, {"width", 224}};
    pixels["max_patches"] = 1;
    write("captioner", "internvl", other, pixels);
    json answerer = read_json(folder_ / "answerer/config.json");
    answerer.update(decoder_sizes());
    answerer["num_hidden_layers"] = 3;
    write("answerer", "reader", answerer, {});
  }

  /// A directory like `from`, of other sizes.
  static void write(const std::string& from, const std::string& to, const json& config,
                    const json& pixels) {
    fs::copy(folder_ / from, folder_ / to);
    fs::remove(folder_ / to / "model.safetensors");
    write_file_atomic(folder_ / to / "config.json", config.dump());
    if (!pixels.is_null())
      write_file_atomic(folder_ / to / "preprocessor_config.json", pixels.dump());
    const auto model = Model::random(config, 3, {});
    NamedTensors tensors;
    for (const ParameterSpec& spec : model->parameters().specs())
      tensors.emplace_back(spec.name, model->parameters().get(spec.name).detach());
    write_safetensors(folder_ / to / "model.safetensors", tensors);
  }

  static GrpoConfig config(const std::string& captioner) {
    GrpoConfig config = grpo("counted", 1);
    config.policy.model = path(captioner);
    config.reward.answerer.model = path("reader");
    config.data.train_batch_size = kImages;
    config.data.prefetch = false;
    config.reward.draw = QuestionDraw::kWithReplacement;
    config.reward.qa_num = kQuestions;
    config.rollout.n = kCaptions;
    config.rollout.response_length = kCaptionTokens;
    config.rollout.limits.max_num_batched_tokens = 512;
    config.reward.answerer.limits.max_num_batched_tokens = 512;
    config.train.loss_chunk_tokens = 256;
    config.train.micro_tokens = 1000;  // three groups
    config.checkpoint.async_save = false;
    return config;
  }

  static ModelDescription describe(const std::string& dir, TrainedParts parts,
                                   const LoraConfig& lora = {}) {
    if (dir.empty()) return {};
    const fs::path file = fs::path(dir) / "config.json";
    return describe_model(read_json(file), file.string(), parts, lora);
  }

  static std::unique_ptr<Model> load_reference(const GrpoConfig& config) {
    if (!config.algorithm.use_kl_loss || config.reference_is_base()) return nullptr;
    return Model::load(config.policy.model, {.dtype = at::kFloat});
  }

  /// One step as GrpoTrainer makes it → the most bytes of tensors in each phase; and the lengths
  /// that it had, and the bytes of its pictures.
  static std::vector<double> count(const GrpoConfig& config, TypicalLengths& lengths,
                                   double& pictures) {
    const at::ScalarType dtype = parse_dtype(config.policy.dtype, "here");
    CountingAllocator memory;
    Learner learner(config.policy.model, config.policy.model,
                    config.policy.options(at::kCPU, 1, config.train.gradient_checkpointing),
                    config.optimizer, Group::alone(), config.parallel);
    EXPECT_EQ(learner.model().head_weight().scalar_type(), dtype);
    const PromptBuilder prompts(config.policy.model, "", learner.model().traits(), 4096);
    const RewardModel reward(config.reward, 1, at::kCPU);
    const auto loaded = load_reference(config);
    const Model* reference = loaded ? loaded.get() : &learner.model();
    if (!config.algorithm.use_kl_loss) reference = nullptr;
    const auto data =
        load_caption_rows(config.data.train_files, BadRows::kStop, prompts.tokenizer());
    std::vector<CaptionGroup> groups;
    for (int64_t i = 0; i < kImages; ++i) {
      const CaptionRow& row = data.rows[static_cast<size_t>(i)];
      groups.push_back({&row,
                        static_cast<uint64_t>(i),
                        prompts.build(row.prompt, std::span(&row.image, 1), row.where),
                        {}});
    }
    std::vector<double> peaks;
    const auto phase = [&](const auto& work) {
      memory.start_peak();
      work();
      peaks.push_back(static_cast<double>(memory.peak_bytes()));
    };
    SamplingParams params;
    params.max_new_tokens = config.rollout.response_length;
    params.banned_ids = learner.model().traits().vision_token_ids;
    phase([&] {
      sample_captions(learner.model(), prompts, kCaptions, params, config.rollout.limits, groups);
    });
    phase([&] { score_captions(reward, 1, groups); });
    for (CaptionGroup& group : groups)
      for (size_t i = 0; i < group.captions.size(); ++i)
        group.captions[i].advantage = i % 2 == 0 ? 1 : -1;
    deal_groups(groups, 1, 1);
    TokenBudget budget(config.train.micro_tokens);
    Metrics metrics;
    phase([&] {
      update_policy(learner, reference, config, Group::alone(), groups, 1, budget, metrics);
    });
    EXPECT_GT(metrics.at("actor/grad_norm"), 0);
    pictures = 0;
    for (const CaptionGroup& group : groups)
      pictures += static_cast<double>(group.prompt.images[0]->values.size() * sizeof(float));
    const Prompt& prompt = groups[0].prompt;
    lengths.prompt = static_cast<double>(prompt.ids.size());
    lengths.image =
        static_cast<double>(prompt.images[0]->tokens(learner.model().traits().merge_size));
    lengths.completion = lengths.longest_completion =
        static_cast<double>(config.rollout.response_length);
    lengths.spread = 0;
    lengths.instruction = kTemplate;
    lengths.question = kTemplate;
    for (const AnswerRecord& answer : groups[0].captions[0].reward.answers)
      lengths.question +=
          static_cast<double>(prompts.tokenizer().encode(answer.asked.text, false).size()) /
          kQuestions;
    return peaks;
  }

  static void expect_planned(const GrpoConfig& config) {
    TypicalLengths lengths;
    double pictures = 0;  // no tensors
    const std::vector<double> counted = count(config, lengths, pictures);
    OtherModels others;
    for (const RewardTerm* term : config.reward.terms.active())
      if (const auto loaded = term->model())
        others.judge = describe(loaded->dir, TrainedParts::kNone);
    const StepPlan plan =
        step_plan(config, describe(config.policy.model, config.policy.train, config.policy.lora),
                  describe(config.reward.answerer.model, TrainedParts::kNone), lengths, others);
    ASSERT_FALSE(plan.on_gpu);
    const auto phases = memory_by_phase(plan, 1);
    ASSERT_EQ(phases.size(), counted.size());
    for (size_t p = 0; p < phases.size(); ++p) {
      const PhaseMemory& phase = phases[p];
      std::string parts;
      for (const MemoryPart& part : phase.parts) {
        if (part.what == "pictures") EXPECT_EQ(part.bytes, pictures);
        parts += fmt::format(", {}: {:.0f}", part.what, part.bytes);
      }
      const double planned = phase.total() - pictures, held = phase.total() - phase.working;
      SCOPED_TRACE(fmt::format("{}: planned {:.0f}, counted {:.0f}; stays {:.0f}{}", phase.phase,
                               planned, counted[p], held, parts));
      EXPECT_NEAR(planned / counted[p], 1, 0.05);
    }
  }
};

TEST_F(MemoryCounted, AllOfQwen) { expect_planned(config("qwen")); }

/// All groups in one pass, so that it holds more than AdamW does.
TEST_F(MemoryCounted, WithRecomputation) {
  GrpoConfig mlp = config("qwen"), full = mlp;
  mlp.train.gradient_checkpointing = ops::Recompute::kMlp;
  mlp.train.micro_tokens = 10000;
  expect_planned(mlp);
  full.train.gradient_checkpointing = ops::Recompute::kFull;
  full.train.micro_tokens = 10000;
  full.rollout.response_length = 4 * kCaptionTokens;
  expect_planned(full);
}

TEST_F(MemoryCounted, AFrozenTowerAndAReference) {
  GrpoConfig frozen = config("qwen");
  frozen.policy.train = TrainedParts::kLanguage;
  frozen.algorithm.use_kl_loss = true;
  expect_planned(frozen);
}

TEST_F(MemoryCounted, Adapters) {
  GrpoConfig adapted = config("qwen");
  adapted.policy.train = TrainedParts::kLanguage;
  adapted.policy.lora.rank = 8;
  adapted.algorithm.use_kl_loss = true;
  expect_planned(adapted);
}

TEST_F(MemoryCounted, InternVlAndItsProjector) {
  expect_planned(config("internvl"));
  GrpoConfig projector = config("internvl");
  projector.policy.train = TrainedParts::kMerger;
  expect_planned(projector);
}

TEST_F(MemoryCounted, AJudge) {
  GrpoConfig judged = config("qwen");
  const TempFolder folder;
  write_file_atomic(folder.path() / "reward.yaml", "scale: 0\n");
  load_config(folder.path() / "reward.yaml",
              {"judge.weight=1", "judge.model=" + path("qwen"), "judge.dtype=float32",
               "judge.mode=digit_logits", "judge.prompt='describe {caption} ?'",
               "judge.max_num_batched_tokens=512"},
              judged.reward);
  judged.reward.answerer = config("qwen").reward.answerer;
  expect_planned(judged);
  judged.reward.answerer = {};
  expect_planned(judged);
}

TEST_F(MemoryCounted, BFloat16) {
  GrpoConfig half = config("qwen");
  half.policy.dtype = "bfloat16";
  half.reward.answerer.dtype = "bfloat16";
  half.train.micro_tokens = 10000;
  expect_planned(half);
}

/// What a checkpoint is written from while training goes on.
TEST_F(MemoryCounted, ACheckpointsCopy) {
  for (const int64_t rank : {0, 8}) {
    GrpoConfig saved = config("qwen");
    saved.policy.train = TrainedParts::kLanguage;
    saved.policy.lora.rank = rank;
    saved.checkpoint.async_save = true;
    const CountingAllocator memory;
    const Learner learner(saved.policy.model, saved.policy.model,
                          saved.policy.options(at::kCPU, 1, ops::Recompute::kNone), saved.optimizer,
                          Group::alone(), saved.parallel);
    const int64_t before = memory.live_bytes();
    learner.snapshot(/*copied=*/true);
    const auto counted = static_cast<double>(memory.live_bytes() - before);
    const StepPlan plan = step_plan(
        saved, describe(saved.policy.model, saved.policy.train, saved.policy.lora), {}, {});
    const PhaseMemory gen = memory_by_phase(plan, 1)[0];
    const auto copy =
        std::ranges::find(gen.parts, std::string("a checkpoint's copy"), &MemoryPart::what);
    ASSERT_NE(copy, gen.parts.end());
    EXPECT_NEAR(copy->bytes / counted, 1, 0.05) << copy->bytes << " planned, " << counted;
  }
}

/// A pass holds one group, whatever the budget.
TEST_F(MemoryCounted, AGroupThatIsLongerThanTheBudget) {
  GrpoConfig small = config("qwen");
  small.train.micro_tokens = 100;
  small.rollout.response_length = 4 * kCaptionTokens;
  expect_planned(small);
}

}  // namespace
}  // namespace caprl
