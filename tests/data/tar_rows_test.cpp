// Samples of WebDataset archives as rows.
#include "caprl/data/dataset.h"
#include "caprl/data/reader.h"
#include "support.h"

namespace caprl {
namespace {

using testing::HasSubstr;

class TarSamples : public DataFiles {
 protected:
  /// An archive of these files in the given order, in the plain form of POSIX.
  static void pack(const std::string& name,
                   const std::vector<std::pair<std::string, std::string>>& files) {
    std::string archive;
    for (const auto& [file, content] : files) {
      std::string header(512, '\0');
      header.replace(0, file.size(), file);
      header.replace(124, 11, fmt::format("{:011o}", content.size()));
      header.replace(148, 8, 8, ' ');
      header[156] = '0';
      header.replace(257, 8, std::string("ustar\00000", 8));
      int64_t sum = 0;
      for (const char c : header) sum += static_cast<unsigned char>(c);
      header.replace(148, 7, fmt::format("{:06o}", sum) + '\0');
      archive += header + content;
      archive.resize((archive.size() + 511) / 512 * 512, '\0');
    }
    write(name, archive + std::string(1024, '\0'));
  }
  /// Every row as JSON, its image's bytes under "bytes", or the error as a string.
  static std::vector<nlohmann::json> rows(const std::string& name) {
    const auto reader = DataReader::open(path(name), RowKind::kImage);
    std::vector<nlohmann::json> all;
    while (const auto place = reader->next()) {
      EXPECT_EQ(place->count, 1);
      try {
        nlohmann::json row = reader->row();
        const SharedBytes image = place->image.store->read(place->image.index);
        row["bytes"] =
            std::string(reinterpret_cast<const char*>(image.bytes.data()), image.bytes.size());
        all.push_back(row);
      } catch (const InputError& error) {
        EXPECT_THAT(error.what(), testing::StartsWith(place->where));
        all.emplace_back(error.what());
      }
    }
    return all;
  }
};

TEST_F(TarSamples, AreImagesAndTheirObjects) {
  pack("some.tar", {{"d/0.jpg", "zero"},
                    {"d/0.txt", "text"},
                    {"d/1.json", R"({"id": "one", "prompt": null, "image": "other", "k": 3})"},
                    {"d/1.seg.PNG", "first"},
                    {"e/1.webp", "second"}});
  EXPECT_EQ(rows("some.tar"),
            (std::vector{json_of(R"({"id": "some/d/0", "bytes": "zero"})"),
                         json_of(R"({"id": "one", "prompt": null, "k": 3, "bytes": "first"})"),
                         json_of(R"({"id": "some/e/1", "bytes": "second"})")}));
  const auto prompt =
      parse_messages(json_of(R"([{"role": "user", "content": "<image> Describe."}])"), "test");
  const auto dataset = load_image_rows({path("some.tar")}, BadRows::kStop, *tokenizer_, prompt);
  ASSERT_EQ(dataset.rows.size(), 3u);
  EXPECT_THAT(dataset.rows[2].image.name, HasSubstr("some.tar: sample 'e/1' (byte "));
}

TEST_F(TarSamples, BadOnesAreRowsOfTheirOwn) {
  pack("bad.tar", {{"0.txt", "no image"},
                   {"1.jpg", "a"},
                   {"1.png", "b"},
                   {"2.jpg", "c"},
                   {"2.json", "[]"},
                   {"3.jpg", "d"},
                   {"3.json", "{\"id\": \"\xff\"}"},
                   {"4.jpg", "e"}});
  const auto all = rows("bad.tar");
  ASSERT_EQ(all.size(), 5u);
  const auto said = [&](size_t i) { return all[i].get<std::string>(); };
  EXPECT_THAT(said(0), HasSubstr("sample '0' (byte 512): expected an image"));
  EXPECT_THAT(said(1), HasSubstr("expected one image, got '1.jpg' and '1.png'"));
  EXPECT_THAT(said(2), HasSubstr("2.json: expected an object, got array"));
  EXPECT_THAT(said(3), HasSubstr("3.json: malformed JSON"));
  EXPECT_EQ(all[4]["bytes"], "e");
  pack("none.tar", {});
  EXPECT_THAT(input_error([&] { rows("none.tar"); }), HasSubstr("an archive without any"));
}

/// Wherever an archive ends: whole samples before it, one bad row, nothing after.
TEST_F(TarSamples, CutAnywhere) {
  pack("whole.tar", {{"0.jpg", "zero"}, {"0.json", "{}"}, {"1.jpg", "one"}});
  const std::string whole = [&] {
    std::ifstream in(path("whole.tar"), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }();
  for (size_t size = 0; size < 3584; size += 13) {
    write("cut.tar", whole.substr(0, size));
    const auto all = rows("cut.tar");
    ASSERT_FALSE(all.empty()) << size;
    EXPECT_THAT(all.back().get<std::string>(), HasSubstr("the archive is cut short")) << size;
    // Contents are at 512 (4 bytes), 1536 (2) and 2560 (3).
    const size_t expected = size < 516    ? 1
                            : size < 1536 ? 2
                            : size < 1538 ? 1
                            : size < 2563 ? 2
                                          : 3;
    EXPECT_EQ(all.size(), expected) << size;
  }
}

}  // namespace
}  // namespace caprl
