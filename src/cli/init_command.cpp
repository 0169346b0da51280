#include <unistd.h>

#include <array>
#include <memory>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/core/log.h"
#include "caprl/io/json.h"
#include "caprl/io/safetensors.h"
#include "caprl/models/join.h"
#include "caprl/models/model.h"
#include "caprl/models/presets.h"
#include "caprl/text/tokenizer.h"
#include "caprl/train/config.h"
#include "cli/commands.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct InitOptions {
  std::string preset, config, vision, text, tokenizer, out, dtype;
  uint64_t seed = 1;
};

constexpr const char* kPreprocessorFile = "preprocessor_config.json";
constexpr std::array kTokenizerFiles = {
    "tokenizer.json",    "tokenizer.model",     "tokenizer_config.json",
    "vocab.json",        "merges.txt",          "special_tokens_map.json",
    "added_tokens.json", "chat_template.jinja", "chat_template.json"};
constexpr std::array kTemplateFiles = {"chat_template.jinja", "chat_template.json"};

/// Keys of config.json that hold ids, and the tokens of the Qwen2.5 family that they stand for.
constexpr std::array<std::pair<const char*, const char*>, 7> kTokenKeys = {
    {{"bos_token_id", "<|endoftext|>"},
     {"eos_token_id", "<|im_end|>"},
     {"vision_start_token_id", "<|vision_start|>"},
     {"vision_end_token_id", "<|vision_end|>"},
     {"vision_token_id", "<|vision_pad|>"},
     {"image_token_id", "<|image_pad|>"},
     {"video_token_id", "<|video_pad|>"}}};

/// A preset takes its ids from the tokenizer, and as many embedding rows as that needs.
void fit_preset_to_tokenizer(json& config, const Tokenizer& tokenizer) {
  for (const auto& [key, token] : kTokenKeys) {
    if (!config.contains(key)) continue;
    const auto id = tokenizer.token_id(token);
    if (!id)
      throw InputError("--tokenizer: the vocabulary has no {}, which the preset needs", token);
    config[key] = *id;
  }
  config["vocab_size"] = std::max(config["vocab_size"].get<int64_t>(), tokenizer.vocab_size());
}

/// A config of the user's own has to agree with the tokenizer as it is.
void check_tokenizer(const ModelTraits& traits, const Tokenizer& tokenizer) {
  if (tokenizer.vocab_size() > traits.vocab_size)
    throw InputError("--tokenizer: it has {} ids, but the config's vocab_size is {}",
                     tokenizer.vocab_size(), traits.vocab_size);
  if (!traits.image_token_id) return;
  const char* name =
      traits.architecture.starts_with("InternVL") ? "<IMG_CONTEXT>" : "<|image_pad|>";
  const auto pad = tokenizer.token_id(name);
  if (pad != traits.image_token_id)
    throw InputError("--tokenizer: its {} is {}, but the config's image_token_id is {}", name,
                     pad ? std::to_string(*pad) : "absent", *traits.image_token_id);
}

/// The dtype that is asked for, or that of the config; written back under the key that the config
/// uses.
at::ScalarType choose_dtype(json& config, const std::string& asked) {
  const char* key = config.contains("dtype") ? "dtype" : "torch_dtype";
  if (!asked.empty()) config[key] = asked;
  if (!config.contains(key)) config[key] = "float32";
  if (!config[key].is_string()) throw InputError("config: {} must be a string", key);
  return parse_dtype(config[key].get<std::string>(), fmt::format("config: '{}'", key));
}

/// What transformers' processor of Qwen2-VL and Qwen2.5-VL needs; values of the published models.
json preprocessor_config(const json& config) {
  const json& vision = config["vision_config"];
  return {{"image_processor_type", "Qwen2VLImageProcessor"},
          {"processor_class", "Qwen2_5_VLProcessor"},
          {"min_pixels", 3136},
          {"max_pixels", 12845056},
          {"patch_size", vision.value("patch_size", 14)},
          {"temporal_patch_size", vision.value("temporal_patch_size", 2)},
          {"merge_size", vision.value("spatial_merge_size", 2)},
          {"image_mean", {0.48145466, 0.4578275, 0.40821073}},
          {"image_std", {0.26862954, 0.26130258, 0.27577711}}};
}

bool knows_preprocessor(const ModelTraits& traits) {
  return traits.architecture.starts_with("Qwen2");
}

/// The tokenizer's folder may bring it; the families that need more than a few numbers must.
void write_preprocessor(const InitOptions& options, const json& config, const fs::path& dir) {
  const fs::path given = fs::path(options.tokenizer) / kPreprocessorFile;
  if (!options.tokenizer.empty() && fs::exists(given))
    fs::copy_file(given, dir / kPreprocessorFile);
  else
    write_file_atomic(dir / kPreprocessorFile, preprocessor_config(config).dump(2) + "\n");
}

void check_preprocessor(const InitOptions& options, const ModelTraits& traits) {
  if (!traits.image_token_id || knows_preprocessor(traits)) return;
  if (options.tokenizer.empty() || !fs::exists(fs::path(options.tokenizer) / kPreprocessorFile))
    throw InputError("--tokenizer: {} needs a folder with a {}", traits.architecture,
                     kPreprocessorFile);
}

void copy_tokenizer(const fs::path& source, const fs::path& dir) {
  for (const char* name : kTokenizerFiles)
    if (fs::exists(source / name)) fs::copy_file(source / name, dir / name);
}

void write_model(const InitOptions& options, json config, const ModelTraits& traits,
                 const fs::path& dir) {
  const at::ScalarType dtype = choose_dtype(config, options.dtype);
  const auto model = Model::random(config, options.seed, {.dtype = dtype});
  NamedTensors tensors;
  for (const ParameterSpec& spec : model->parameters().specs())
    tensors.emplace_back(spec.name, model->parameters().get(spec.name));
  write_sharded_safetensors(dir, tensors);
  write_file_atomic(dir / "config.json", config.dump(2) + "\n");
  write_file_atomic(dir / "generation_config.json",
                    json({{"eos_token_id", traits.eos_ids}}).dump(2) + "\n");
  if (traits.image_token_id) write_preprocessor(options, config, dir);
  if (!options.tokenizer.empty()) copy_tokenizer(options.tokenizer, dir);
}

/// Conversations with images are written by the captioner's template.
void replace_chat_template(const fs::path& source, const fs::path& dir) {
  for (const char* name : kTemplateFiles) {
    fs::remove(dir / name);
    if (fs::exists(source / name)) fs::copy_file(source / name, dir / name);
  }
  if (fs::exists(dir / kTemplateFiles[0]) || fs::exists(dir / kTemplateFiles[1])) return;
  const json config = read_json(source / "tokenizer_config.json");
  if (!config.contains("chat_template") || !config["chat_template"].is_string())
    throw InputError("--vision: {} has no chat template", source.string());
  write_file_atomic(dir / kTemplateFiles[0], config["chat_template"].get<std::string>());
}

void write_joined(const InitOptions& options, const fs::path& dir) {
  const auto tokenizer = Tokenizer::load(options.text);
  const JoinedModel joined = join_models(
      options.vision, options.text,
      [&](const std::string& token) { return tokenizer->token_id(token); }, options.seed);
  write_sharded_safetensors(dir, joined.weights);
  write_file_atomic(dir / "config.json", joined.config.dump(2) + "\n");
  copy_tokenizer(options.text, dir);
  replace_chat_template(options.vision, dir);
  for (const auto& [source, name] :
       {std::pair(&options.text, "generation_config.json"), {&options.vision, kPreprocessorFile}})
    if (fs::exists(fs::path(*source) / name)) fs::copy_file(fs::path(*source) / name, dir / name);
  log_info("{}: the tower of {}, the decoder of {}, {} tensors drawn anew: {}", options.out,
           options.vision, options.text, joined.fresh.size(), fmt::join(joined.fresh, ", "));
}

/// Beside the target, then renamed: a failure leaves nothing that looks like a model.
template <class Write>
void make_folder(const fs::path& out, Write write) {
  if (fs::exists(out)) throw InputError("--out: {} exists already", out.string());
  const fs::path temporary = fmt::format("{}.tmp-{}", fs::absolute(out).string(), getpid());
  fs::create_directories(temporary);
  try {
    write(temporary);
    fs::rename(temporary, out);
  } catch (...) {
    fs::remove_all(temporary);
    throw;
  }
}

void init_model(const InitOptions& options) {
  const fs::path out = options.out;
  json config = options.config.empty() ? preset_config(options.preset) : read_json(options.config);
  if (!options.tokenizer.empty()) {
    const auto tokenizer = Tokenizer::load(options.tokenizer);
    if (options.config.empty()) fit_preset_to_tokenizer(config, *tokenizer);
    check_tokenizer(describe_model(config, options.config).traits, *tokenizer);
  }
  const ModelDescription described =
      describe_model(config, options.config.empty() ? options.preset : options.config);
  check_preprocessor(options, described.traits);

  make_folder(out,
              [&](const fs::path& dir) { write_model(options, config, described.traits, dir); });
  log_info("{}: {}, {} tensors, seed {}", out.string(), described.traits.architecture,
           described.parameters.size(), options.seed);
}

}  // namespace

void add_init_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "init", "Write a model directory: randomly initialised, or joined of two models");
  auto options = std::make_shared<InitOptions>();
  auto* shape = command->add_option_group("shape");
  shape->add_option("--preset", options->preset, "a shape by name")
      ->check(CLI::IsMember(preset_names()));
  shape->add_option("--config", options->config, "a config.json of your own");
  auto* vision = shape->add_option("--vision", options->vision,
                                   "a captioner whose vision tower is taken, with --text");
  shape->require_option(1);
  command->add_option("--out", options->out, "new folder")->required();
  command->add_option("--tokenizer", options->tokenizer,
                      "model directory whose tokenizer and chat template are copied")
      ->excludes(vision);
  auto* text = command->add_option("--text", options->text,
                                   "a text model whose decoder and tokenizer are taken");
  text->needs(vision);
  vision->needs(text);
  command->add_option("--seed", options->seed, "of the random weights")->capture_default_str();
  command->add_option("--dtype", options->dtype, "default: the config's")
      ->check(CLI::IsMember({"float32", "bfloat16", "float64"}))
      ->excludes(vision);
  command->callback([options] {
    if (options->vision.empty()) return init_model(*options);
    make_folder(options->out, [&](const fs::path& dir) { write_joined(*options, dir); });
  });
}

}  // namespace caprl
