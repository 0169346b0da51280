// Ids to text piece by piece: never half a code point, and joined the same as all at once.
#include <random>

#include "caprl/text/tokenizer.h"
#include "support.h"
#include "text/unicode_text.h"

namespace caprl {
namespace {

using Ids = std::vector<int64_t>;

std::vector<std::string> pieces(const Tokenizer& tokenizer, const Ids& ids, bool skip_special) {
  std::vector<std::string> result;
  const auto stream = tokenizer.stream(skip_special);
  for (const int64_t id : ids) {
    result.emplace_back();
    stream->push(id, result.back());
  }
  result.emplace_back();
  stream->finish(result.back());
  return result;
}

class TokenStreams : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string name = GetParam();
    if (!name.ends_with(".model")) {
      tokenizer_ = Tokenizer::load(text_data(name));
      return;
    }
    const TempFolder dir;
    std::filesystem::copy_file(text_data(name), dir.path() / "tokenizer.model");
    tokenizer_ = Tokenizer::load(dir.path());
  }
  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_P(TokenStreams, JoinToTheWholeText) {
  std::mt19937 random(4);
  for (int round = 0; round < 2000; ++round) {
    Ids ids;
    const int64_t limit = round % 2 ? 260 : tokenizer_->vocab_size() + 5;
    for (int k = random() % 12; k > 0; --k) ids.push_back(random() % limit);
    for (const bool skip_special : {false, true}) {
      std::string joined;
      for (const std::string& piece : pieces(*tokenizer_, ids, skip_special)) {
        EXPECT_EQ(replace_invalid_utf8(piece), piece);
        joined += piece;
      }
      EXPECT_EQ(joined, tokenizer_->decode(ids, skip_special));
    }
  }
}

TEST_P(TokenStreams, GiveTextAsSoonAsItIsKnown) {
  const Ids ids = tokenizer_->encode("the \U0001F600 the", false);
  std::string text;
  const auto stream = tokenizer_->stream(true);
  for (size_t i = 0; i + 1 < ids.size(); ++i) stream->push(ids[i], text);
  EXPECT_EQ(text.substr(0, 4), "the ");
  stream->push(ids.back(), text);
  EXPECT_EQ(text, "the \U0001F600 the");
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenStreams,
                         testing::Values("small", "characters", "sentencepiece/bpe.model"),
                         [](const auto& info) { return std::string(info.param).substr(0, 5); });

}  // namespace
}  // namespace caprl
