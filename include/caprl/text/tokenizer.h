// Tokenizers of Hugging Face model directories (tokenizer.json, tokenizer.model).
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace caprl {

/// Turns ids into text as they come. The texts joined are Tokenizer::decode's of all the ids; a
/// code point is never split between them. For one thread; the tokenizer must outlive it.
class TokenStream {
 public:
  virtual ~TokenStream() = default;

  /// Appends what has become known with this id, which may be nothing.
  virtual void push(int64_t id, std::string& text) = 0;
  /// Appends the rest: an unfinished code point as U+FFFD.
  virtual void finish(std::string& text) = 0;
};

/// Immutable after loading; every method is thread safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Reads DIR/tokenizer.json, or DIR/tokenizer.model through sentencepiece where there is no such
  /// file, and the added tokens of DIR/tokenizer_config.json, if there is one. InputError names the
  /// file and the unsupported or missing part. Supported of tokenizer.json: BPE, byte-level or of
  /// characters with byte fallback (as converted from sentencepiece).
  static std::shared_ptr<const Tokenizer> load(const std::filesystem::path& model_dir);
  /// Whether load() would find a file.
  static bool exists(const std::filesystem::path& model_dir);

  /// UTF-8 text to ids, no BOS/EOS added; InputError if the text is not valid UTF-8. With
  /// `parse_special` false the text of added tokens ("<|im_end|>") is ordinary text, so user text
  /// can never inject them. As in Hugging Face, a character that the vocabulary has nothing for
  /// becomes the unknown token or, if there is none, nothing.
  virtual std::vector<int64_t> encode(std::string_view text, bool parse_special) const = 0;
  /// Appends the ids of ordinary text as encode() finds them between added tokens; `is_start` if
  /// nothing comes before it, which some tokenizers mark.
  virtual void encode_plain(std::string_view text, bool is_start,
                            std::vector<int64_t>& ids) const = 0;
  /// Ids to UTF-8; bytes that form no code point become U+FFFD and ids without a token become
  /// nothing, as in Hugging Face. `skip_special` leaves out added tokens marked special, not the
  /// other added tokens ("<tool_call>").
  std::string decode(std::span<const int64_t> ids, bool skip_special) const;
  virtual std::unique_ptr<TokenStream> stream(bool skip_special) const = 0;
  /// The id of a token as it is spelled in the file (an added token as it is).
  virtual std::optional<int64_t> token_id(std::string_view token) const = 0;
  /// The first added token whose text occurs in `text`: text from outside that has one is to be
  /// rejected, since its author and the model would read it differently.
  virtual std::optional<std::string> find_added_token(std::string_view text) const = 0;
  /// Ids of added tokens (special or not), ascending.
  virtual const std::vector<int64_t>& added_ids() const = 0;
  /// What Hugging Face puts before a text that stands alone ("<s>" of Llama; often nothing).
  virtual const std::vector<int64_t>& prefix_ids() const = 0;
  /// 1 + the highest id. The model's embedding may have more rows.
  virtual int64_t vocab_size() const = 0;
};

}  // namespace caprl
