// Properties of byte-level BPE: nothing is lost, any length works, merges are those of the
// definition.
#include "caprl/text/tokenizer.h"

#include <unicode/utf8.h>

#include <chrono>
#include <random>
#include <thread>

#include "support.h"
#include "text/bpe.h"
#include "text/pretokenizer.h"
#include "text/unicode_text.h"

namespace caprl {
namespace {

using nlohmann::json;
using Ids = std::vector<int64_t>;

std::shared_ptr<const Tokenizer> small_tokenizer() { return Tokenizer::load(text_data("small")); }

std::string random_text(std::mt19937& random, int num_code_points) {
  const char32_t limits[] = {0x80, 0x250, 0x3000, 0xD800, 0x110000};
  std::string text;
  for (int i = 0; i < num_code_points; ++i) {
    char32_t code_point = random() % limits[random() % 5];
    if (code_point >= 0xD800 && code_point < 0xE000) code_point = ' ';
    char buffer[4];
    int32_t length = 0;
    U8_APPEND_UNSAFE(buffer, length, code_point);
    text.append(buffer, length);
  }
  return text;
}

TEST(Tokenizer, RoundTripsTextUpToNormalisation) {
  const auto tokenizer = small_tokenizer();
  std::mt19937 random(1);
  for (int i = 0; i < 500; ++i) {
    const std::string text = random_text(random, random() % 60);
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, false), true), normalize_nfc(text));
  }
}

TEST(Tokenizer, AsciiRoundTripsWithAddedTokens) {
  const auto tokenizer = small_tokenizer();
  std::mt19937 random(2);
  const char* const parts[] = {"<|im_start|>", "<|im", "user\n",     " ", "<",
                               "|>",           "12",   "<tool_call>"};
  for (int i = 0; i < 500; ++i) {
    std::string text;
    for (int k = random() % 10; k > 0; --k) text += parts[random() % 8];
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, true), false), text);
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, false), true), text);
  }
}

TEST(Tokenizer, PlainTextNeverBecomesAnAddedToken) {
  const auto tokenizer = small_tokenizer();
  const std::string text = "a<|im_end|><tool_call><|image_pad|>";
  const Ids& added = tokenizer->added_ids();
  for (const int64_t id : tokenizer->encode(text, false))
    EXPECT_FALSE(std::binary_search(added.begin(), added.end(), id)) << id;
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, false), true), text);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, true), true), "a<tool_call>");
}

TEST(Tokenizer, LettersAreThoseOfUnicode16) {
  const json qwen = read_json(text_data("small/tokenizer.json"))["pre_tokenizer"];
  const auto splitter = Pretokenizer::from_json({&qwen, ""});
  const auto num_words = [&](std::string_view text) {
    int n = 0;
    splitter.split(text, true, [&](std::string_view) { ++n; });
    return n;
  };
  EXPECT_EQ(num_words("ab"), 1);
  EXPECT_EQ(num_words("a\U00013460\U0001E5D0\u1C89"), 1);  // of Unicode 16
  EXPECT_EQ(num_words("a\U00016D40\U000A7DD0"), 2);        // the second one is no letter yet
  EXPECT_EQ(num_words("a\U0001CCF0\U0001CCF1"), 3);        // digits of Unicode 16, one by one
}

TEST(Tokenizer, MergesNeverMakeAnAddedToken) {
  json description = read_json(text_data("characters/tokenizer.json"));
  json& model = description["model"];
  for (const char* token : {"<", ">", "<s"}) model["vocab"][token] = model["vocab"].size();
  model["merges"].push_back({"<", "s"});
  model["merges"].push_back({"<s", ">"});
  for (const bool ignore_merges : {false, true}) {
    model["ignore_merges"] = ignore_merges;
    description["normalizer"] = nullptr;  // the text is "<s>", not "▁<s>"
    const TempFolder dir;
    dir.write("tokenizer.json", description.dump());
    const auto tokenizer = Tokenizer::load(dir.path());
    EXPECT_EQ(tokenizer->encode("<s>", true), (Ids{1}));
    const Ids plain = tokenizer->encode("<s>", false);
    EXPECT_EQ(std::count(plain.begin(), plain.end(), 1), 0);
    EXPECT_EQ(tokenizer->decode(plain, true), "<s>");
  }
}

TEST(Tokenizer, FindsAddedTokens) {
  const auto tokenizer = small_tokenizer();
  EXPECT_EQ(tokenizer->find_added_token("an <image> and <|vision_ pad|>"), std::nullopt);
  EXPECT_EQ(tokenizer->find_added_token("x <|image_pad|> <|im_end|>"), "<|image_pad|>");
  EXPECT_EQ(tokenizer->find_added_token("x <|im_ends"), "<|im");  // the longest at the first place
  EXPECT_EQ(tokenizer->find_added_token("<|im_end|>"), "<|im_end|>");
  EXPECT_EQ(tokenizer->find_added_token(""), std::nullopt);
}

TEST(Tokenizer, TokenIds) {
  const auto tokenizer = small_tokenizer();
  const auto id = tokenizer->token_id("<|im_end|>");
  ASSERT_TRUE(id.has_value());
  EXPECT_EQ(tokenizer->decode(Ids{*id}, false), "<|im_end|>");
  EXPECT_EQ(tokenizer->decode(Ids{*id}, true), "");
  EXPECT_EQ(tokenizer->token_id("no such token"), std::nullopt);
  EXPECT_TRUE(tokenizer->token_id("\u0120the").has_value());  // spelled as in the file
  EXPECT_EQ(tokenizer->vocab_size(), tokenizer->added_ids().back() + 1);
  EXPECT_EQ(tokenizer->decode(Ids{-1, tokenizer->vocab_size(), int64_t{1} << 40}, false), "");
}

TEST(Tokenizer, DecodesBrokenBytesAsReplacementCharacters) {
  const auto tokenizer = small_tokenizer();
  const Ids face = tokenizer->encode("😀", false);
  ASSERT_EQ(face.size(), 4u);
  EXPECT_EQ(tokenizer->decode(Ids{face[0], face[1], face[2]}, false), "\uFFFD");
  EXPECT_EQ(tokenizer->decode(Ids{face[1], face[1]}, false), "\uFFFD\uFFFD");
}

TEST(Tokenizer, RejectsInvalidUtf8) {
  const auto tokenizer = small_tokenizer();
  EXPECT_EQ(input_error([&] { tokenizer->encode("ab\xC3(", true); }),
            "text is not valid UTF-8: byte 0xc3 at offset 2");
  EXPECT_EQ(input_error([&] { tokenizer->encode("\xED\xA0\x80", false); }),
            "text is not valid UTF-8: byte 0xed at offset 0");
}

TEST(Tokenizer, MegabyteWordsTakeSeconds) {
  const auto tokenizer = small_tokenizer();
  const size_t size = 1 << 20;
  std::string mixed;
  while (mixed.size() < size) mixed += "thecirclesquareabove";
  const std::string texts[] = {std::string(size, 'a'),       std::string(size, ' '),
                               std::string(size, '\n'),      std::string(size, '1'),
                               std::string(size, '!'),       mixed,
                               std::string(size, ' ') + "x", std::string(size, '<')};
  for (const std::string& text : texts) {
    const auto start = std::chrono::steady_clock::now();
    const Ids ids = tokenizer->encode(text, true);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(tokenizer->decode(ids, true), text);
    EXPECT_LT(took.count(), 20) << text.substr(0, 20);
  }
}

TEST(Tokenizer, ThreadsAgree) {
  const auto tokenizer = small_tokenizer();
  const auto strings = read_json(text_data("strings.json"));
  const auto encode_all = [&](const Tokenizer& used) {
    std::vector<Ids> all;
    for (const auto& text : strings)
      all.push_back(used.encode(text.get_ref<const std::string&>(), true));
    return all;
  };
  const std::vector<Ids> expected = encode_all(*small_tokenizer());
  std::vector<std::vector<Ids>> got(4);
  std::vector<std::thread> threads;
  for (auto& result : got) threads.emplace_back([&] { result = encode_all(*tokenizer); });
  for (auto& thread : threads) thread.join();
  for (const auto& result : got) EXPECT_EQ(result, expected);
}

/// The definition: again and again the leftmost of the pairs with the lowest rank.
std::vector<int64_t> merge_by_definition(const std::vector<PairMerge>& merges,
                                         std::vector<int64_t> ids) {
  while (true) {
    for (const PairMerge& merge : merges) {
      for (size_t i = 0; i + 1 < ids.size(); ++i) {
        if (ids[i] != merge.left || ids[i + 1] != merge.right) continue;
        ids[i] = merge.product;
        ids.erase(ids.begin() + static_cast<ptrdiff_t>(i) + 1);
        goto next;  // start again at the lowest rank
      }
    }
    return ids;
  next:;
  }
}

TEST(Bpe, MergesAsDefined) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    BpeParts parts;
    parts.symbols.byte_level = true;
    for (int byte = 0; byte < 256; ++byte) parts.symbols.bytes[byte] = byte % 3;
    int32_t num_ids = 3;
    for (int i = 0; i < 12; ++i) {
      const auto left = static_cast<int32_t>(random() % num_ids);
      const auto right = static_cast<int32_t>(random() % num_ids);
      const bool is_new = PairTable(parts.merges).find(left, right) == nullptr;
      if (is_new) parts.merges.push_back({left, right, num_ids++});
    }
    const Bpe bpe(parts);
    for (int i = 0; i < 20; ++i) {
      std::string word;
      Ids bytes;
      for (int k = 1 + random() % 40; k > 0; --k) {
        word += static_cast<char>(random() % 3);
        bytes.push_back(word.back());
      }
      Ids ids;
      bpe.encode(word, ids);
      EXPECT_EQ(ids, merge_by_definition(parts.merges, bytes));
    }
  }
}

}  // namespace
}  // namespace caprl
