#include "caprl/text/tokenizer.h"

#include "caprl/core/error.h"
#include "text/bpe_tokenizer.h"
#include "text/sentencepiece_tokenizer.h"
#include "text/tokenizer_json.h"

namespace caprl {
namespace {

constexpr const char* kJson = "tokenizer.json";
constexpr const char* kSentencePiece = "tokenizer.model";

}  // namespace

bool Tokenizer::exists(const std::filesystem::path& model_dir) {
  return std::filesystem::exists(model_dir / kJson) ||
         std::filesystem::exists(model_dir / kSentencePiece);
}

std::shared_ptr<const Tokenizer> Tokenizer::load(const std::filesystem::path& model_dir) {
  if (!exists(model_dir))
    throw InputError("{}: no tokenizer here; expected {} or {}", model_dir.string(), kJson,
                     kSentencePiece);
  const std::filesystem::path config = model_dir / "tokenizer_config.json";
  const std::filesystem::path file = model_dir / kJson;
  if (!std::filesystem::exists(file))
    return std::make_shared<SentencePieceTokenizer>(model_dir / kSentencePiece, config);
  BpeTokenizerParts parts = read_tokenizer_json(file);
  if (std::filesystem::exists(config)) add_tokens_of_config(config, parts);
  return std::make_shared<BpeTokenizer>(std::move(parts));
}

std::string Tokenizer::decode(std::span<const int64_t> ids, bool skip_special) const {
  std::string text;
  const auto tokens = stream(skip_special);
  for (const int64_t id : ids) tokens->push(id, text);
  tokens->finish(text);
  return text;
}

}  // namespace caprl
