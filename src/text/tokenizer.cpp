#include "caprl/text/tokenizer.h"

#include "caprl/core/error.h"
#include "text/bpe_tokenizer.h"
#include "text/tokenizer_json.h"

namespace caprl {

std::shared_ptr<const Tokenizer> Tokenizer::load(const std::filesystem::path& model_dir) {
  const std::filesystem::path file = model_dir / "tokenizer.json";
  if (!std::filesystem::exists(file))
    throw InputError("{}: no tokenizer.json here; other tokenizer files are not supported",
                     model_dir.string());
  BpeTokenizerParts parts = read_tokenizer_json(file);
  const std::filesystem::path config = model_dir / "tokenizer_config.json";
  if (std::filesystem::exists(config)) add_tokens_of_config(config, parts);
  return std::make_shared<BpeTokenizer>(std::move(parts));
}

}  // namespace caprl
