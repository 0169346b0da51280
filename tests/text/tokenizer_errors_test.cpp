// Tokenizer files that are broken or not supported name themselves and the part.
#include "caprl/text/tokenizer.h"
#include "support.h"
#include "support/json.h"

namespace caprl {
namespace {

using nlohmann::json;

struct BadFile {
  const char* name;
  const char* patch;    // JSON patch (RFC 6902) of small/tokenizer.json
  const char* message;  // after "DIR/tokenizer.json: "
};

class TokenizerErrors : public testing::TestWithParam<BadFile> {};

TEST_P(TokenizerErrors, NameTheirPart) {
  const TempFolder dir;
  const json small = read_json(text_data("small/tokenizer.json"));
  dir.write("tokenizer.json", small.patch(json_of(GetParam().patch)).dump());
  EXPECT_EQ(input_error([&] { Tokenizer::load(dir.path()); }),
            (dir.path() / "tokenizer.json: ").string() + GetParam().message);
}

const BadFile kBadFiles[] = {
    {"WordPiece", R"([{"op":"replace","path":"/model/type","value":"WordPiece"}])",
     R"(model.type: model "WordPiece" is not supported, only BPE is)"},
    {"NoModelType", R"([{"op":"remove","path":"/model/type"}])",
     "model.type: expected a string, got nothing"},
    {"NoModel", R"([{"op":"remove","path":"/model"}])", "model: expected an object, got nothing"},
    {"Dropout", R"([{"op":"replace","path":"/model/dropout","value":0.1}])",
     "model.dropout: 0.1 is not supported"},
    {"ByteFallback", R"([{"op":"replace","path":"/model/byte_fallback","value":true}])",
     "model.byte_fallback: true is not supported with ByteLevel"},
    {"UnkToken", R"([{"op":"replace","path":"/model/unk_token","value":"<unk>"}])",
     "model.unk_token: token \"<unk>\" is not in the vocabulary"},
    {"SubwordPrefix", R"([{"op":"add","path":"/model/continuing_subword_prefix","value":"##"}])",
     "model.continuing_subword_prefix: \"##\" is not supported"},
    {"WordSuffix", R"([{"op":"add","path":"/model/end_of_word_suffix","value":"</w>"}])",
     "model.end_of_word_suffix: \"</w>\" is not supported"},
    {"Normalizer", R"([{"op":"replace","path":"/normalizer","value":{"type":"NFD"}}])",
     "normalizer.type: normalizer \"NFD\" is not supported; expected NFC, NFKC, Replace, Prepend "
     "or "
     "Sequence"},
    {"NormalizerInSequence",
     R"([{"op":"replace","path":"/normalizer","value":{"type":"Sequence","normalizers":[{"type":"Lowercase"}]}}])",
     "normalizer.normalizers[0].type: normalizer \"Lowercase\" is not supported; expected NFC, "
     "NFKC, "
     "Replace, Prepend or Sequence"},
    {"RegexReplace",
     R"([{"op":"replace","path":"/normalizer","value":{"type":"Replace","pattern":{"Regex":"a+"},"content":"b"}}])",
     "normalizer.pattern: expected a \"String\", other patterns are not supported"},
    {"Pretokenizer", R"([{"op":"replace","path":"/pre_tokenizer","value":{"type":"Whitespace"}}])",
     "pre_tokenizer.type: pre-tokenizer \"Whitespace\" is not supported"},
    {"Metaspace",
     R"([{"op":"replace","path":"/pre_tokenizer","value":{"type":"Metaspace","replacement":"__"}}])",
     "pre_tokenizer.replacement: expected one character outside ASCII, got \"__\""},
    {"PrependScheme",
     R"([{"op":"replace","path":"/pre_tokenizer","value":{"type":"Metaspace","replacement":"▁","prepend_scheme":"last"}}])",
     "pre_tokenizer.prepend_scheme: expected always, first or never, got \"last\""},
    {"EmptySequence", R"([{"op":"replace","path":"/pre_tokenizer/pretokenizers","value":[]}])",
     "pre_tokenizer: expected ByteLevel, got nothing"},
    {"NoByteLevel", R"([{"op":"remove","path":"/pre_tokenizer/pretokenizers/1"}])",
     "pre_tokenizer.pretokenizers[0]: expected ByteLevel as the last pre-tokenizer and only there"},
    {"PrefixSpace",
     R"([{"op":"replace","path":"/pre_tokenizer/pretokenizers/1/add_prefix_space","value":true}])",
     "pre_tokenizer.pretokenizers[1].add_prefix_space: true is not supported"},
    {"SplitBehavior",
     R"([{"op":"replace","path":"/pre_tokenizer/pretokenizers/0/behavior","value":"Removed"}])",
     "pre_tokenizer.pretokenizers[0].behavior: expected Isolated, \"Removed\" is not supported"},
    {"SplitInvert",
     R"([{"op":"replace","path":"/pre_tokenizer/pretokenizers/0/invert","value":true}])",
     "pre_tokenizer.pretokenizers[0].invert: true is not supported"},
    {"SplitString",
     R"([{"op":"replace","path":"/pre_tokenizer/pretokenizers/0/pattern","value":{"String":" "}}])",
     "pre_tokenizer.pretokenizers[0].pattern: expected a \"Regex\", other patterns are not "
     "supported"},
    {"BadRegex",
     R"([{"op":"replace","path":"/pre_tokenizer/pretokenizers/0/pattern","value":{"Regex":"a(b"}}])",
     "pre_tokenizer.pretokenizers[0].pattern.Regex: not a regular expression of ICU: "
     "U_REGEX_MISMATCHED_PAREN at character 3: a(b"},
    {"Decoder", R"([{"op":"replace","path":"/decoder","value":{"type":"WordPiece"}}])",
     "decoder.type: decoder \"WordPiece\" is not supported; expected ByteLevel, or a Sequence of "
     "Replace, ByteFallback, Fuse and Strip"},
    {"DecoderOrder",
     R"([{"op":"replace","path":"/decoder","value":{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"ByteFallback"}]}}])",
     "decoder.decoders[1]: this order of steps is not supported; expected Replace, ByteFallback, "
     "Fuse, Strip"},
    {"StripOfTokens",
     R"([{"op":"replace","path":"/decoder","value":{"type":"Sequence","decoders":[{"type":"Strip","content":" ","start":1,"stop":0}]}}])",
     "decoder.decoders[0]: expected a Fuse right before the Strip"},
    {"StripAtTheEnd",
     R"([{"op":"replace","path":"/decoder","value":{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Strip","content":" ","start":0,"stop":1}]}}])",
     "decoder.decoders[1]: expected a content, a start of 0 or more and a stop of 0"},
    {"NoVocab", R"([{"op":"remove","path":"/model/vocab"}])",
     "model.vocab: expected an object, got nothing"},
    {"TextId", R"([{"op":"replace","path":"/model/vocab/a","value":"64"}])",
     "model.vocab[\"a\"]: expected an integer, got string"},
    {"NegativeId", R"([{"op":"replace","path":"/model/vocab/a","value":-1}])",
     "model.vocab[\"a\"]: expected an id from 0 to 16777215, got -1"},
    {"HugeId", R"([{"op":"replace","path":"/model/vocab/a","value":4000000000}])",
     "model.vocab[\"a\"]: expected an id from 0 to 16777215, got 4000000000"},
    {"SharedId", R"([{"op":"copy","path":"/model/vocab/a","from":"/model/vocab/b"}])",
     "model.vocab[\"b\"]: id 65 belongs to \"a\" and to \"b\""},
    {"MissingByte", R"([{"op":"remove","path":"/model/vocab/Z"}])",
     "model.vocab: not byte-level: byte 0x5a has no token \"Z\""},
    {"MergeOfThree", R"([{"op":"add","path":"/model/merges/0","value":"a b c"}])",
     R"(model.merges[0]: expected "left right" or ["left", "right"], got "a b c")"},
    {"MergeOfOne", R"([{"op":"add","path":"/model/merges/0","value":["a"]}])",
     R"(model.merges[0]: expected "left right" or ["left", "right"], got ["a"])"},
    {"MergeOutsideVocab", R"([{"op":"add","path":"/model/merges/0","value":["Q","Q"]}])",
     "model.merges[0]: token \"QQ\" is not in the vocabulary"},
    {"SingleWord", R"([{"op":"replace","path":"/added_tokens/1/single_word","value":true}])",
     "added_tokens[1].single_word: true is not supported"},
    {"EmptyAdded", R"([{"op":"replace","path":"/added_tokens/1/content","value":""}])",
     "added_tokens[1].content: is empty"},
    {"AddedIdTaken", R"([{"op":"replace","path":"/added_tokens/1/id","value":64}])",
     "added_tokens[1]: id 64 belongs to \"a\" and to \"<|im_start|>\""},
    {"AddedWithOtherId", R"([{"op":"replace","path":"/added_tokens/1/content","value":"a"}])",
     "added_tokens[1]: token \"a\" has id 476, but also id 64"},
    {"AddedTwice", R"([{"op":"copy","path":"/added_tokens/-","from":"/added_tokens/1"}])",
     "added_tokens[11]: \"<|im_start|>\" is added twice"},
    {"NotAList", R"([{"op":"replace","path":"/added_tokens","value":7}])",
     "added_tokens: expected an array, got number"},
};

INSTANTIATE_TEST_SUITE_P(Files, TokenizerErrors, testing::ValuesIn(kBadFiles),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(TokenizerFiles, MissingAndMalformed) {
  const TempFolder dir;
  EXPECT_EQ(
      input_error([&] { Tokenizer::load(dir.path()); }),
      dir.path().string() + ": no tokenizer here; expected tokenizer.json or tokenizer.model");
  for (const char* content : {"", "{\"model\": ", "[1]"}) {
    dir.write("tokenizer.json", content);
    EXPECT_TRUE(input_error([&] {
                  Tokenizer::load(dir.path());
                }).starts_with((dir.path() / "tokenizer.json").string()));
  }
}

class TokenizerConfig : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::copy(text_data("small/tokenizer.json"), dir_.path()); }
  std::shared_ptr<const Tokenizer> load(const char* added_tokens_decoder) {
    dir_.write("tokenizer_config.json",
               std::string(R"({"added_tokens_decoder":)") + added_tokens_decoder + "}");
    return Tokenizer::load(dir_.path());
  }
  std::string error(const char* added_tokens_decoder) {
    const std::string message = input_error([&] { load(added_tokens_decoder); });
    const std::string file = (dir_.path() / "tokenizer_config.json: ").string();
    return message.starts_with(file) ? message.substr(file.size()) : message;
  }
  TempFolder dir_;
};

TEST_F(TokenizerConfig, AddsTokens) {
  const auto tokenizer = load(R"({"486":{"content":"<extra>","special":true,"normalized":false},
                                  "476":{"content":"<|im_start|>"}})");
  EXPECT_EQ(tokenizer->token_id("<extra>"), 486);
  EXPECT_EQ(tokenizer->vocab_size(), 487);
  EXPECT_EQ(tokenizer->encode("<extra>", true), (std::vector<int64_t>{486}));
  EXPECT_EQ(tokenizer->decode(std::vector<int64_t>{486}, true), "");
}

TEST_F(TokenizerConfig, ContradictionsAreErrors) {
  EXPECT_EQ(error(R"({"487":{"content":"<|im_start|>"}})"),
            R"(added_tokens_decoder["487"]: token "<|im_start|>" has id 487, but also id 476)");
  EXPECT_EQ(error(R"({"476":{"content":"<other>"}})"),
            R"(added_tokens_decoder["476"]: id 476 belongs to "<|im_start|>" and to "<other>")");
  EXPECT_EQ(error(R"({"x":{"content":"<other>"}})"),
            R"(added_tokens_decoder["x"]: expected an id as the key)");
  EXPECT_EQ(error(R"({"487":{}})"),
            R"(added_tokens_decoder["487"].content: expected a string, got nothing)");
  EXPECT_EQ(error("[]"), "added_tokens_decoder: expected an object, got array");
}

}  // namespace
}  // namespace caprl
