// tokenizer.model: ids and texts equal those of the sentencepiece library (golden files of
// tools/golden/tokenizer.py), and added tokens are kept apart from text.
#include <algorithm>

#include "caprl/text/tokenizer.h"
#include "support.h"

namespace caprl {
namespace {

using nlohmann::json;
using Ids = std::vector<int64_t>;

class SentencePiece : public testing::Test {
 protected:
  std::shared_ptr<const Tokenizer> load(const std::string& name, const char* config = nullptr) {
    std::filesystem::copy_file(text_data("sentencepiece/" + name + ".model"),
                               dir_.path() / "tokenizer.model",
                               std::filesystem::copy_options::overwrite_existing);
    if (config) dir_.write("tokenizer_config.json", config);
    return Tokenizer::load(dir_.path());
  }
  TempFolder dir_;
};

TEST_F(SentencePiece, SameAsTheLibrary) {
  const json golden = read_json(text_data("sentencepiece_golden.json"));
  for (const char* name : {"bpe", "unigram"}) {
    SCOPED_TRACE(name);
    const auto tokenizer = load(name);
    const json& strings = golden["strings"];
    for (size_t i = 0; i < strings.size(); ++i) {
      const auto& text = strings[i].get_ref<const std::string&>();
      EXPECT_EQ(json(tokenizer->encode(text, false)), golden[name]["ids"][i]) << strings[i];
    }
    for (const json& one : golden[name]["decoded"])
      EXPECT_EQ(json(tokenizer->decode(one[0].get<Ids>(), true)), one[1]) << one[0];
  }
}

TEST_F(SentencePiece, ControlPiecesAreAddedTokens) {
  const auto tokenizer = load("bpe");
  EXPECT_EQ(tokenizer->added_ids(), (Ids{0, 1, 2}));
  EXPECT_EQ(tokenizer->prefix_ids(), (Ids{1}));
  EXPECT_EQ(tokenizer->token_id("</s>"), 2);
  EXPECT_EQ(tokenizer->find_added_token("a </s>"), "</s>");
  EXPECT_EQ(tokenizer->encode("</s>", true), (Ids{2}));
  const Ids plain = tokenizer->encode("</s>", false);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), 2), 0);
  EXPECT_EQ(tokenizer->decode(plain, true), "</s>");
  EXPECT_EQ(tokenizer->decode(Ids{1, 2}, false), "<s></s>");
  EXPECT_EQ(tokenizer->decode(Ids{1, 2}, true), "");
}

TEST_F(SentencePiece, ConfigAddsAndRenamesTokens) {
  const auto tokenizer = load("bpe", R"({"add_bos_token": false, "added_tokens_decoder": {
      "3": {"content": "<|im_end|>", "special": true}, "500": {"content": "<image>"}}})");
  EXPECT_TRUE(tokenizer->prefix_ids().empty());
  EXPECT_EQ(tokenizer->vocab_size(), 501);
  EXPECT_EQ(tokenizer->token_id("<|im_end|>"), 3);
  EXPECT_EQ(tokenizer->encode("<image><|im_end|>", true), (Ids{500, 3}));
  EXPECT_EQ(tokenizer->decode(Ids{500, 3}, false), "<image><|im_end|>");
  EXPECT_EQ(tokenizer->decode(Ids{500, 3}, true), "<image>");
  // The model itself has piece 3 as "<tool>", which it finds in any text.
  EXPECT_EQ(input_error([&] { tokenizer->encode("a <tool>", false); }),
            "the text contains the reserved token \"<|im_end|>\"");
}

TEST_F(SentencePiece, DamagedFiles) {
  const std::string file = (dir_.path() / "tokenizer.model").string();
  const std::string whole = read_file(text_data("sentencepiece/bpe.model"));
  for (const std::string& content :
       {std::string(), std::string("no model"), whole.substr(0, 1000)}) {
    dir_.write("tokenizer.model", content);
    EXPECT_TRUE(input_error([&] {
                  Tokenizer::load(dir_.path());
                }).starts_with(file + ": expected a model of sentencepiece: "))
        << content.size();
  }
  EXPECT_EQ(input_error([&] {
              load("bpe", R"({"added_tokens_decoder": {"500": {"content": "▁the"}}})");
            }).find("tokenizer_config.json: added_tokens_decoder[\"500\"]: token \"▁the\" has id"),
            (dir_.path() / "").string().size());
}

}  // namespace
}  // namespace caprl
