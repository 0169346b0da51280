// Ids and texts equal those of Hugging Face tokenizers (golden files of tools/golden/tokenizer.py).
#include <fstream>

#include "caprl/text/tokenizer.h"
#include "support.h"

namespace caprl {
namespace {

using nlohmann::json;

void expect_ids(const Tokenizer& tokenizer, const json& strings, const json& ids,
                bool parse_special) {
  ASSERT_EQ(strings.size(), ids.size());
  for (size_t i = 0; i < strings.size(); ++i) {
    const auto& text = strings[i].get_ref<const std::string&>();
    EXPECT_EQ(json(tokenizer.encode(text, parse_special)), ids[i]) << strings[i];
  }
}

void expect_decoded(const Tokenizer& tokenizer, const json& cases) {
  ASSERT_FALSE(cases.empty());
  for (const json& one : cases) {
    const auto ids = one[0].get<std::vector<int64_t>>();
    EXPECT_EQ(json(tokenizer.decode(ids, false)), one[1]) << one[0];
    EXPECT_EQ(json(tokenizer.decode(ids, true)), one[2]) << one[0];
  }
}

void expect_golden(const Tokenizer& tokenizer, const json& golden) {
  const json strings = read_json(text_data("strings.json"));
  ASSERT_GE(strings.size(), 300u);
  expect_ids(tokenizer, strings, golden["ids"], true);
  expect_ids(tokenizer, strings, golden["plain"], false);
  expect_decoded(tokenizer, golden["decoded"]);
}

TEST(TokenizerGolden, Small) {
  const auto tokenizer = Tokenizer::load(text_data("small"));
  for (int pass = 0; pass < 2; ++pass)  // the second one out of the word cache
    expect_golden(*tokenizer, read_json(text_data("small_golden.json")));
}

TEST(TokenizerGolden, VariantsOfTheFile) {
  const json small = read_json(text_data("small/tokenizer.json"));
  const json golden = read_json(text_data("variants_golden.json"));
  ASSERT_EQ(golden["variants"].size(), 6u);
  for (const json& variant : golden["variants"]) {
    SCOPED_TRACE(variant["name"]);
    json description = small;
    description.merge_patch(variant["patch"]);
    const TempFolder dir;
    dir.write("tokenizer.json", description.dump());
    expect_ids(*Tokenizer::load(dir.path()), golden["strings"], variant["ids"], true);
  }
}

TEST(TokenizerGolden, CharactersWithByteFallback) {
  const json base = read_json(text_data("characters/tokenizer.json"));
  const json golden = read_json(text_data("characters_golden.json"));
  ASSERT_EQ(golden["variants"].size(), 12u);
  for (const json& variant : golden["variants"]) {
    SCOPED_TRACE(variant["name"]);
    json description = base;
    description.merge_patch(variant["patch"]);
    const TempFolder dir;
    dir.write("tokenizer.json", description.dump());
    const auto tokenizer = Tokenizer::load(dir.path());
    EXPECT_EQ(tokenizer->prefix_ids(), (std::vector<int64_t>{1}));
    expect_ids(*tokenizer, golden["strings"], variant["ids"], true);
    expect_ids(*tokenizer, golden["strings"], variant["plain"], false);
    // Hugging Face decodes a normalised added token as its normalised text, special or not.
    if (variant["name"] != "normalized_added") expect_decoded(*tokenizer, variant["decoded"]);
  }
}

TEST(TokenizerGolden, VariantsDiffer) {  // or the test above would show nothing
  for (const char* file : {"variants_golden.json", "characters_golden.json"}) {
    const json golden = read_json(text_data(file));
    std::set<json> seen;
    for (const json& variant : golden["variants"]) seen.insert(variant["ids"]);
    EXPECT_EQ(seen.size(), golden["variants"].size()) << file;
  }
}

class RealTokenizerGolden : public testing::TestWithParam<const char*> {
 protected:
  /// Unpacks tokenizer.json.xz beside tokenizer_config.json.
  void SetUp() override {
    const char* data = std::getenv("CAPRL_TEST_DATA");
    if (data == nullptr) {
      GTEST_SKIP() << "CAPRL_TEST_DATA is not set: the real " << GetParam()
                   << " tokenizer is NOT tested";
    }
    source_ = std::filesystem::path(data) / "tokenizers" / GetParam();
    const std::string command = "xz -dc '" + (source_ / "tokenizer.json.xz").string() + "' > '" +
                                (dir_.path() / "tokenizer.json").string() + "'";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
    std::filesystem::copy(source_ / "tokenizer_config.json", dir_.path());
  }

  std::filesystem::path source_;
  TempFolder dir_;
};

TEST_P(RealTokenizerGolden, SameAsHuggingFace) {
  const auto tokenizer = Tokenizer::load(dir_.path());
  expect_golden(*tokenizer, read_json(text_data(std::string(GetParam()) + "_golden.json")));
}

using RealQwenTokenizer = RealTokenizerGolden;

TEST_P(RealQwenTokenizer, AddedTokens) {
  const auto tokenizer = Tokenizer::load(dir_.path());
  const bool is_qwen3 = std::string_view(GetParam()) == "qwen3";
  EXPECT_EQ(tokenizer->vocab_size(), is_qwen3 ? 151669 : 151665);
  EXPECT_EQ(tokenizer->added_ids().size(), is_qwen3 ? 26u : 22u);
  EXPECT_EQ(tokenizer->added_ids().front(), 151643);
  EXPECT_EQ(tokenizer->token_id("<|im_end|>"), 151645);
  EXPECT_TRUE(tokenizer->prefix_ids().empty());
}

TEST_P(RealQwenTokenizer, PublishedVectors) {
  const auto tokenizer = Tokenizer::load(dir_.path());
  using Ids = std::vector<int64_t>;
  EXPECT_EQ(tokenizer->encode("Hello, world!", true), (Ids{9707, 11, 1879, 0}));
  EXPECT_EQ(tokenizer->encode("你好，世界 😀", true), (Ids{108386, 3837, 99489, 90316}));
  EXPECT_EQ(tokenizer->encode("e\u0301 café  12345\n\n  x", true),
            (Ids{963, 51950, 220, 220, 16, 17, 18, 19, 20, 271, 220, 856}));
  EXPECT_EQ(tokenizer->encode("Please describe this image in detail.", true),
            (Ids{5501, 7512, 419, 2168, 304, 7716, 13}));
}

INSTANTIATE_TEST_SUITE_P(All, RealTokenizerGolden,
                         testing::Values("qwen2_5", "qwen3", "llama2", "internlm2"));
INSTANTIATE_TEST_SUITE_P(Qwen, RealQwenTokenizer, testing::Values("qwen2_5", "qwen3"));

}  // namespace
}  // namespace caprl
