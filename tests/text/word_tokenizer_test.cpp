// Every word of a closed vocabulary is one token, all other text survives, and transformers reads
// the files alike.
#include "caprl/text/word_tokenizer.h"

#include <algorithm>

#include "caprl/text/chat.h"
#include "caprl/text/tokenizer.h"
#include "support.h"

namespace caprl {
namespace {

using nlohmann::json;
using Ids = std::vector<int64_t>;

/// Words chosen to get into each other's way: prefixes, shared middles, digits, signs, letters
/// beyond ASCII.
WordTokenizerSpec committed_spec() {
  return {
      {"a",      "all",   "red",   "green", "blue",    "three",  "there",  "the",  "to",    "top",
       "bottom", "left",  "right", "upper", "lower",   "circle", "square", "star", "cross", "what",
       "color",  "shape", "how",   "many",  "objects", "object", "is",     "at",   "A",     "B",
       "C",      "D",     "E",     "3",     ".",       ",",      "?",      ")",    ":",     "café",
       "mm",     "mmm",   "mmmmm", "abab",  "bab",     "ab"},
      true,
      "look at the picture"};
}

TEST(WordTokenizer, EveryWordIsOneToken) {
  const TempFolder dir;
  const WordTokenizerSpec spec = committed_spec();
  write_word_tokenizer(dir.path(), spec);
  const auto tokenizer = Tokenizer::load(dir.path());
  for (const std::string& word : spec.words) {
    EXPECT_EQ(tokenizer->encode(word, true).size(), 1u) << word;
    EXPECT_EQ(tokenizer->encode(" " + word, true).size(), word == "3" ? 2u : 1u) << word;
  }
  EXPECT_EQ(tokenizer->encode("what color is the top left object ?", true).size(), 8u);
  EXPECT_LT(tokenizer->vocab_size(), 550);
}

TEST(WordTokenizer, OtherTextSurvives) {
  const TempFolder dir;
  write_word_tokenizer(dir.path(), committed_spec());
  const auto tokenizer = Tokenizer::load(dir.path());
  for (const json& text : read_json(text_data("strings.json"))) {
    const auto& bytes = text.get_ref<const std::string&>();
    const std::string decoded = tokenizer->decode(tokenizer->encode(bytes, false), false);
    EXPECT_EQ(tokenizer->encode(decoded, false), tokenizer->encode(bytes, false)) << text;
    if (std::all_of(bytes.begin(), bytes.end(), [](char c) { return c > 0; })) {
      EXPECT_EQ(decoded, bytes);
    }
  }
}

/// The committed files stand for what is written, so that golden ids made from them
/// (tools/golden/word_tokenizer.py) hold for it. To renew them, copy what this test leaves in the
/// directory that it names.
TEST(WordTokenizer, WritesTheCommittedFiles) {
  const auto dir = std::filesystem::path(CAPRL_BIN_DIR).parent_path() / "test_text_words";
  write_word_tokenizer(dir, committed_spec());
  for (const char* file : {"tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt",
                           "chat_template.jinja"})
    EXPECT_EQ(read_file(dir / file), read_file(text_data("words") / file)) << dir / file;
}

TEST(WordTokenizer, SameIdsAsTransformers) {
  const json golden = read_json(text_data("words_golden.json"));
  const auto tokenizer = Tokenizer::load(text_data("words"));
  const json strings = read_json(text_data("strings.json"));
  ASSERT_EQ(strings.size(), golden["ids"].size());
  for (size_t i = 0; i < strings.size(); ++i)
    EXPECT_EQ(json(tokenizer->encode(strings[i].get_ref<const std::string&>(), true)),
              golden["ids"][i])
        << strings[i];
  ASSERT_GE(golden["sentences"].size(), 50u);
  for (const json& one : golden["sentences"])
    EXPECT_EQ(json(tokenizer->encode(one[0].get_ref<const std::string&>(), true)), one[1]) << one;
  const auto format = ChatFormat::load(text_data("words"), tokenizer);
  const ChatMessage messages[] = {
      {"user",
       {{ChatPart::Kind::kImage, ""}, {ChatPart::Kind::kText, "what color is the circle ?"}}}};
  EXPECT_EQ(json(format->render(messages, true, " A")), golden["chat"]);
  EXPECT_EQ(json(tokenizer->added_ids()), golden["added"]);
}

TEST(WordTokenizer, TextModelTemplate) {
  const TempFolder dir;
  write_word_tokenizer(dir.path(), {{"yes"}, false, std::nullopt});
  const auto tokenizer = Tokenizer::load(dir.path());
  const auto format = ChatFormat::load(dir.path(), tokenizer);
  const ChatMessage messages[] = {{"user", {{ChatPart::Kind::kText, "yes"}}}};
  EXPECT_EQ(tokenizer->decode(format->render(messages, true), false),
            "<|im_start|>user\nyes<|im_end|>\n<|im_start|>assistant\n");
}

TEST(WordTokenizer, BadWordsAreErrors) {
  const TempFolder dir;
  const auto error = [&](std::string word) {
    return input_error([&] { write_word_tokenizer(dir.path() / "out", {{word}, false, {}}); });
  };
  EXPECT_EQ(error("top-left"),
            "word \"top-left\": the pre-tokenizer splits it, so it cannot be one token");
  EXPECT_EQ(error("12"), "word \"12\": the pre-tokenizer splits it, so it cannot be one token");
  EXPECT_EQ(error(""), "word \"\": expected text in normalisation form C, not empty");
  EXPECT_EQ(error("e\u0301"), "word \"e\u0301\": expected text in normalisation form C, not empty");
  EXPECT_EQ(error("\xff"), "text is not valid UTF-8: byte 0xff at offset 0");
  EXPECT_EQ(input_error([&] {
              write_word_tokenizer(dir.path() / "out", {{}, false, "{{ x }}"});
            }),
            "default system message \"{{ x }}\": braces are not supported");
  EXPECT_FALSE(std::filesystem::exists(dir.path() / "out"));
}

}  // namespace
}  // namespace caprl
