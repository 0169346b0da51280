#include "fuzz/targets.h"

#include <algorithm>

#include "caprl/core/error.h"
#include "caprl/data/reader.h"
#include "caprl/data/rows.h"
#include "caprl/io/gguf.h"
#include "caprl/io/json.h"
#include "caprl/io/jsonl.h"
#include "caprl/io/safetensors.h"
#include "caprl/models/model.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;

fs::path golden(std::string_view name) { return fs::path(CAPRL_TEST_FILES) / name; }

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// One folder for all inputs of a process, in memory where there is such a file system.
const TempFolder& folder() {
  static const TempFolder instance(fs::exists("/dev/shm") ? "/dev/shm" : fs::temp_directory_path());
  return instance;
}

const Tokenizer& small_tokenizer() {
  static const auto instance = Tokenizer::load(golden("text/small"));
  return *instance;
}

void use(const Tokenizer& tokenizer) {
  const std::string text = "The 2 caf\u00e9s \u4f60\u597d <s></s><|im_end|>\n\U0001F600";
  const std::vector<int64_t> ids = tokenizer.encode(text, true);
  tokenizer.decode(ids, true);
  tokenizer.find_added_token(text);
}

void parse_safetensors(std::span<const std::byte> bytes) {
  const SafetensorsFile file(folder().write("model.safetensors", text_of(bytes)));
  for (const auto& entry : file.entries()) file.tensor(entry.name);
}

void parse_gguf(std::span<const std::byte> bytes) {
  const GgufFile file(folder().write("model.gguf", text_of(bytes)));
  for (const auto& entry : file.tensors()) file.tensor(entry.name);
}

void parse_config(std::span<const std::byte> bytes) {
  describe_model(parse_json(text_of(bytes), "config.json"), "config.json");
}

void parse_tokenizer_json(std::span<const std::byte> bytes) {
  folder().write("json/tokenizer.json", text_of(bytes));
  use(*Tokenizer::load(folder() / "json"));
}

void parse_tokenizer_model(std::span<const std::byte> bytes) {
  folder().write("model/tokenizer.model", text_of(bytes));
  use(*Tokenizer::load(folder() / "model"));
}

void parse_chat_template(std::span<const std::byte> bytes) {
  static const std::shared_ptr<const Tokenizer> tokenizer = Tokenizer::load(golden("text/small"));
  folder().write("chat_template.jinja", text_of(bytes));
  const auto format = ChatFormat::load(folder().path(), tokenizer);
  const ChatMessage messages[] = {{"system", {{ChatPart::Kind::kText, "be brief"}}},
                                  {"user", {{ChatPart::Kind::kText, "hi <|im_end|>"}}}};
  format->render(messages, true);
}

void parse_image(std::span<const std::byte> bytes) {
  decode_image(bytes, "image", 1 << 22);  // of a size that a fuzzer can afford
}

void parse_rows(std::span<const std::byte> bytes) {
  JsonlReader reader(folder().write("rows.jsonl", text_of(bytes)), 1 << 20);
  while (const auto line = reader.next()) {
    for (const bool is_caption : {true, false}) {
      try {
        if (is_caption)
          parse_caption_row(line->value, "rows.jsonl:1", folder().path(), small_tokenizer());
        else
          parse_sft_row(line->value, "rows.jsonl:1", folder().path(), small_tokenizer());
      } catch (const InputError&) {
      }
    }
  }
}

void parse_tar(std::span<const std::byte> bytes) {
  const auto rows = DataReader::open(folder().write("rows.tar", text_of(bytes)), RowKind::kImage);
  while (const auto place = rows->next()) {
    try {
      rows->row();
      file_content({{}, {}, "image", place->image});
    } catch (const InputError&) {
    }
  }
}

std::vector<FuzzTarget> make_targets() {
  fs::create_directory(folder() / "json");
  fs::create_directory(folder() / "model");
  const fs::path own = fs::path(CAPRL_SOURCE_DIR) / "tests/fuzz/seeds";
  return {
      {"safetensors", parse_safetensors, {golden("io/all_dtypes.safetensors")}},
      {"gguf", parse_gguf, {golden("io/blocks.gguf"), golden("models/llama.gguf")}},
      {"config", parse_config, {golden("models/qwen2_5_vl_hub"), own / "config"}},
      {"tokenizer_json",
       parse_tokenizer_json,
       {golden("text/small/tokenizer.json"), golden("text/characters/tokenizer.json")}},
      {"tokenizer_model", parse_tokenizer_model, {golden("text/sentencepiece")}},
      {"chat_template", parse_chat_template, {golden("text/templates")}},
      {"image", parse_image, {golden("image/files")}},
      {"rows", parse_rows, {own / "rows"}},
      {"tar", parse_tar, {own / "tar"}},
  };
}

}  // namespace

std::span<const FuzzTarget> fuzz_targets() {
  static const std::vector<FuzzTarget> targets = make_targets();
  return targets;
}

void fuzz_one(const FuzzTarget& target, std::span<const std::byte> bytes) {
  try {
    target.parse(bytes);
  } catch (const InputError&) {
  }
}

std::vector<fs::path> seed_files(const FuzzTarget& target) {
  std::vector<fs::path> files;
  for (const fs::path& seed : target.seeds) {
    if (!fs::is_directory(seed)) {
      files.push_back(seed);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(seed))
      if (entry.is_regular_file() && entry.path().extension() != ".safetensors")
        files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace caprl
