// `caprl caption`: what goes in and comes out, on several processes and after kills.
#include <cstdlib>

#include "caprl/core/config.h"
#include "caprl/data/convert.h"
#include "caprl/io/json.h"
#include "caprl/io/parquet.h"
#include "caption_run.h"
#include "kills.h"
#include "support/errors.h"
#include "support/ranks.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::HasSubstr;

/// Rows of the world as a WebDataset archive, by Python's tarfile.
TEST_F(CaptionImages, ArchivesGiveWhatTheirImagesGive) {
  CaptionConfig c = config("unpacked");
  caption_images(c);
  const std::string archive = path("world/train.tar");
  const std::string script = fmt::format(R"(
import io, json, tarfile
t = tarfile.open('{0}', 'w')
for n, line in enumerate(open('{1}')):
  row = json.loads(line)
  path = row["image"]["path"]
  def add(suffix, content):
    i = tarfile.TarInfo("%06d.%s" % (n, suffix)); i.size = len(content)
    t.addfile(i, io.BytesIO(content))
  add(path.split(".")[-1], open('{2}/' + path, 'rb').read())
  add("txt", b"of the web")
  add("json", json.dumps(dict(prompt=row["prompt"], id=row["id"])).encode())
t.close()
)",
                                         archive, path("world/train.jsonl"), path("world"));
  write_file_atomic(folder_ / "pack.py", script);
  ASSERT_EQ(std::system(("python3 " + path("pack.py")).c_str()), 0);
  c.run.dir = path("packed");
  c.data.files = {archive};
  EXPECT_EQ(caption_images(c).captioned, 12);
  auto expected = captions("unpacked");
  for (auto& [index, line] : expected) line["image"] = nullptr;
  EXPECT_EQ(captions("packed"), expected);

  // Cut within its eighth image: said, with the place, and seven are captioned.
  write_file_atomic(folder_ / "world/cut.tar", read_file(archive));
  const std::string whole = read_file(archive);
  std::filesystem::resize_file(folder_ / "world/cut.tar", whole.find("000007.") + 600);
  c.run.dir = path("cut_tar");
  c.data.files = {path("world/cut.tar")};
  EXPECT_THAT(input_error([&] { caption_images(c); }), HasSubstr("the archive is cut short"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "cut_tar"));
  c.data.bad_rows = BadRows::kSkip;
  const CaptionCounts counts = caption_images(c);
  EXPECT_EQ(counts.captioned, 7);
  EXPECT_EQ(counts.skipped, 1);
  const json reason = lines(folder_ / "cut_tar/quarantine.jsonl").at(0);
  EXPECT_EQ(reason.at("index"), 7);
  EXPECT_THAT(reason.at("reason").get<std::string>(),
              testing::AllOf(HasSubstr("cut.tar: sample '000007' (byte "),
                             HasSubstr("the archive is cut short: expected")));
}

TEST_F(CaptionImages, ShardsOfRowsAndPairs) {
  CaptionConfig c = config("one_file");
  caption_images(c);
  const auto whole = captions("one_file");
  c.run.dir = path("files");
  c.output.rows_per_shard = 5;
  caption_images(c);
  std::map<int64_t, json> all;
  for (const char* name :
       {"captions.000000.jsonl", "captions.000001.jsonl", "captions.000002.jsonl"}) {
    EXPECT_EQ(captions("files", name).size(), name[14] == '2' ? 2u : 5u);
    all.merge(captions("files", name));
  }
  EXPECT_EQ(all, whole);
  EXPECT_EQ(caption_images(c).found, 12);
  c.run.dir = path("pairs");
  c.output = {};
  c.output.records = CaptionRecords::kPairs;
  caption_images(c);
  for (const auto& [index, line] : captions("pairs")) {
    EXPECT_EQ(line.at("caption"), whole.at(index).at("captions")[0].at("text"));
    EXPECT_EQ(line.at("image"), whole.at(index).at("image"));
    EXPECT_EQ(line.size(), 4u);
  }
  c.sampling.n = 2;
  EXPECT_THAT(input_error([&] { caption_images(c); }), HasSubstr("'output.records'"));
}

/// Rows of all Parquet files by index, once each.
std::map<int64_t, json> parquet_rows(const std::filesystem::path& run) {
  std::map<int64_t, json> all;
  for (const auto& entry : std::filesystem::directory_iterator(run)) {
    if (entry.path().extension() != ".parquet") continue;
    ParquetRows rows(std::make_shared<const ParquetFile>(entry.path()), {}, "");
    while (const auto row = rows.next())
      EXPECT_TRUE(all.emplace(row->value.at("index").get<int64_t>(), row->value).second);
  }
  return all;
}

TEST_F(CaptionImages, ParquetShards) {
  if (!has_parquet()) GTEST_SKIP() << "this build has no Parquet";
  CaptionConfig c = config("as_lines");
  c.sampling.n = 2;
  caption_images(c);
  c.run.dir = path("as_parquet");
  c.output.format = CaptionFormat::kParquet;
  c.output.rows_per_shard = 5;
  caption_images(c);
  EXPECT_EQ(parquet_rows(folder_ / "as_parquet"), captions("as_lines"));
  for (const char* name : {"captions.000000", "captions.000001", "captions.000002"}) {
    EXPECT_TRUE(std::filesystem::exists(folder_ / "as_parquet" / (std::string(name) + ".parquet")));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "as_parquet" / (std::string(name) + ".jsonl")));
  }
  EXPECT_EQ(caption_images(c).found, 12);
}

/// Captions of images that are in an archive or in a Parquet file become rows of supervised
/// training that have their images.
TEST_F(CaptionImages, RecordsWithTheirImages) {
  if (!has_parquet()) GTEST_SKIP() << "this build has no Parquet";
  convert_data({path("world/train.jsonl")}, path("world/embedded.parquet"), {.embed_images = true});
  CaptionConfig c = config("with_images");
  c.data.files = {path("world/embedded.parquet")};
  c.output.embed_images = true;
  c.sampling.n = 2;
  c.sampling.response_length = 40;
  c.sampling.stop = {"e", "o"};
  caption_images(c);
  c.run.dir = path("with_images_parquet");
  c.output.format = CaptionFormat::kParquet;
  caption_images(c);
  const auto expected = lines(folder_ / "world/train.jsonl");
  const ConvertOptions captions{.form = RowForm::kCaptions, .bad_rows = BadRows::kSkip};
  for (const char* file :
       {"with_images/captions.jsonl", "with_images_parquet/captions.000000.parquet"}) {
    SCOPED_TRACE(file);
    const ConvertCounts counts = convert_data({path(file)}, path("rows.parquet"), captions);
    EXPECT_EQ(counts.rows + 2 * counts.skipped, 24);  // empty captions
    EXPECT_GT(counts.rows, 10);
    const auto rows =
        load_sft_rows({path("rows.parquet")}, BadRows::kStop, *Tokenizer::load(path("captioner")))
            .rows;
    for (const SftRow& row : rows) {
      const auto source = std::ranges::find_if(expected, [&](const json& one) {
        return row.id.starts_with(one.at("id").get<std::string>());
      });
      ASSERT_NE(source, expected.end());
      const std::string content =
          read_file(folder_ / "world" / (*source)["image"]["path"].get<std::string>());
      EXPECT_TRUE(std::ranges::equal(file_content(row.images.at(0)).bytes,
                                     std::as_bytes(std::span(content))));
    }
  }
}

TEST_F(CaptionImages, TwoProcessesGiveTheSame) {
  CaptionConfig c = config("alone");
  caption_images(c);
  c.run.dir = path("two");
  write_file_atomic(folder_ / "two.yaml", config_to_yaml(c));
  Ranks ranks(folder_ / "two_logs", 2,
              {CAPRL_BIN_DIR "/caprl", "caption", "--config", path("two.yaml")});
  for (const auto& result : ranks.wait()) EXPECT_EQ(result.code, 0) << result.log;
  auto all = captions("two", "captions-00000-of-00002.jsonl");
  EXPECT_EQ(all.size(), 6u);
  all.merge(captions("two", "captions-00001-of-00002.jsonl"));
  EXPECT_EQ(all, captions("alone"));
  EXPECT_EQ(caption_images(c).found, 12);  // one process goes on where two were
  EXPECT_EQ(read_json(folder_ / "two/summary.json").at("captioned"), 12);
}

/// Every item exactly once in captions or quarantine, whenever the program is killed.
TEST_F(CaptionImages, KilledRunsContinue) {
  write_file_atomic(folder_ / "world/text.png", "no image");
  std::string rows = "{\n" + read_file(folder_ / "world/train.jsonl");
  for (const json& line : lines(folder_ / "world/train.jsonl")) {
    json again = line;
    again["id"] = line.at("id").get<std::string>() + " again";
    rows += again.dump() + "\n";
  }
  rows += R"({"id": "text", "image": "text.png"})"
          "\n";
  write_file_atomic(folder_ / "world/many.jsonl", rows);
  for (const CaptionFormat format : {CaptionFormat::kJsonl, CaptionFormat::kParquet}) {
    const bool is_parquet = format == CaptionFormat::kParquet;
    if (is_parquet && !has_parquet()) continue;
    CaptionConfig c = config(is_parquet ? "unharmed_parquet" : "unharmed");
    c.data.files = {path("world/many.jsonl")};
    c.data.bad_rows = BadRows::kSkip;
    c.output.format = format;
    c.output.rows_per_shard = is_parquet ? 7 : 0;
    c.sampling.limits.max_num_seqs = 2;
    c.sampling.response_length = 24;
    const auto command = [&](const std::string& run) {
      c.run.dir = path(run);
      write_file_atomic(folder_ / (run + ".yaml"), config_to_yaml(c));
      return std::vector<std::string>{CAPRL_BIN_DIR "/caprl", "caption", "--config",
                                      path(run + ".yaml")};
    };
    const auto done = [&](const std::string& run) {
      return is_parquet ? parquet_rows(folder_ / run) : captions(run);
    };
    const auto unharmed = command(c.run.dir.substr(folder_.string().size() + 1));
    const auto whole =
        duration_of([&] { ASSERT_EQ(run_for(unharmed, std::chrono::minutes(5)), 0); });
    const auto expected = done(is_parquet ? "unharmed_parquet" : "unharmed");
    ASSERT_EQ(expected.size(), 24u);
    const KilledRun run{command("killed"), folder_ / "killed", "summary.json", whole};
    run_under_kills(run, num_kills(6), [&] {
      EXPECT_EQ(done("killed"), expected);
      const auto set_aside = captions("killed", "quarantine.jsonl");
      ASSERT_EQ(set_aside.size(), 2u);
      EXPECT_THAT(set_aside.at(0).at("reason").get<std::string>(), HasSubstr("many.jsonl:1"));
      EXPECT_THAT(set_aside.at(25).at("reason").get<std::string>(), HasSubstr("text.png"));
      const json summary = read_json(folder_ / "killed/summary.json");
      EXPECT_EQ(summary,
                (json{{"items", 26}, {"captioned", 24}, {"set_aside", 2}, {"duplicates", 0}}));
    });
  }
}

TEST_F(CaptionImages, TheSameItemTwiceIsLeftOut) {
  const std::string rows = read_file(folder_ / "world/train.jsonl");
  write_file_atomic(folder_ / "world/double.jsonl", rows + rows);
  CaptionConfig c = config("double");
  c.data.files = {path("world/double.jsonl")};
  EXPECT_THAT(input_error([&] { caption_images(c); }),
              testing::AllOf(HasSubstr("double.jsonl:"), HasSubstr("the same item as")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "double"));
  c.data.bad_rows = BadRows::kSkip;
  const CaptionCounts counts = caption_images(c);
  EXPECT_EQ(counts.captioned, 12);
  EXPECT_EQ(counts.duplicates, 12);
  caption_images(c = config("single"));
  EXPECT_EQ(captions("double"), captions("single"));
  EXPECT_EQ(lines(folder_ / "double/manifest.duplicates.jsonl").size(), 12u);
}

}  // namespace
}  // namespace caprl
