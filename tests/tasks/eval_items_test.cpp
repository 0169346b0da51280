// Items: the generic form, and the forms of published files.
#include "tasks/eval/items.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caprl/io/parquet.h"
#include "data/row_types.h"
#include "support/errors.h"
#include "support/json.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

class EvalItems : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* folder : {"png", "images", "data", "2steps/image"})
      std::filesystem::create_directories(folder_ / folder);
    for (const char* name :
         {"png/a.png", "images/4.jpg", "images/7.jpg", "a.png", "b.png", "2steps/image/1-1.png"})
      folder_.write(name, "not read");
  }

  std::vector<EvalItem> load(const std::string& form, const std::string& name,
                             const std::string& content, BadRows bad_rows = BadRows::kStop) {
    EvalDataConfig config;
    config.files = {form + ":" + folder_.write(name, content).string()};
    config.bad_rows = bad_rows;
    auto loaded = load_items(config, *tokenizer_);
    num_bad_ = loaded.num_bad;
    return std::move(loaded.items);
  }
  std::string error_of(const json& item) {
    return input_error([&] { load("items", "bad.jsonl", item.dump() + "\n"); });
  }

  TempFolder folder_;
  std::shared_ptr<const Tokenizer> tokenizer_ =
      Tokenizer::load(CAPRL_SOURCE_DIR "/tools/demo_world/models/captioner");
  int64_t num_bad_ = 0;
};

TEST_F(EvalItems, GenericForm) {
  const auto items = load("items", "mine.jsonl", R"(
{"id": "q1", "image": "a.png", "question": "Which?", "choices": ["A) red", "B) blue"], "answer": "blue"}
{"image": {"path": "b.png"}, "question": "How many?", "answer": 3, "scorer": "numeric", "tolerance": 0.1}
{"id": 7, "benchmark": "Other", "image": {"bytes": "QUJD"}, "question": "Who?", "answer": ["x", "y"], "scorer": ["anls", "math"]}
)");
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0].id, "q1");
  EXPECT_EQ(items[0].benchmark, "mine");
  EXPECT_EQ(items[0].question, "Which?\nA) red\nB) blue");
  EXPECT_THAT(items[0].scorers, ElementsAre("choice"));
  EXPECT_THAT(items[0].expected.answers, ElementsAre("B"));
  EXPECT_EQ(items[0].image.image.path, folder_ / "a.png");
  EXPECT_THAT(items[1].id, HasSubstr("mine.jsonl:3"));
  EXPECT_EQ(items[1].expected.tolerance, 0.1);
  EXPECT_THAT(items[1].expected.answers, ElementsAre("3"));
  EXPECT_EQ(items[2].id, "7");
  EXPECT_EQ(items[2].benchmark, "Other");
  EXPECT_EQ(items[2].image.image.bytes.size(), 3u);
  EXPECT_THAT(items[2].scorers, ElementsAre("anls", "math"));
}

TEST_F(EvalItems, BadItemsSaySo) {
  const json good = {
      {"image", "a.png"}, {"question", "How many?"}, {"answer", "3"}, {"scorer", "math"}};
  const auto without = [&](const char* key) {
    json item = good;
    item.erase(key);
    return error_of(item);
  };
  const auto with = [&](const char* key, const json& value) {
    json item = good;
    item[key] = value;
    return error_of(item);
  };
  const std::string where = (folder_ / "bad.jsonl").string() + ":1: ";
  EXPECT_EQ(without("question"), where + "key 'question' is missing");
  EXPECT_EQ(without("answer"), where + "key 'answer' is missing");
  EXPECT_EQ(without("image"), where + "key 'image' is missing");
  EXPECT_EQ(without("scorer"), where +
                                   "key 'scorer' is missing, and there are no choices; expected "
                                   "one of choice, numeric, chart, anls, math");
  EXPECT_THAT(with("scorer", "bleu"), HasSubstr("expected one of choice, numeric, chart, anls, "
                                                "math, got 'bleu'"));
  EXPECT_THAT(with("image", nullptr), HasSubstr("got null"));
  EXPECT_THAT(with("image", "c.png"), HasSubstr("c.png: no such file"));
  EXPECT_THAT(with("question", ""), HasSubstr("question: expected a text, got an empty one"));
  EXPECT_THAT(with("answer", json::array()), HasSubstr("expected a right answer, got none"));
  EXPECT_THAT(with("answer", " "), HasSubstr("expected a right answer, got an empty text"));
  EXPECT_THAT(with("answer", json::object()), HasSubstr("expected a string, got object"));
  EXPECT_THAT(with("tolerance", -1), HasSubstr("tolerance: expected a number"));
  EXPECT_THAT(with("choices", {"A) x", "B) y"}), HasSubstr("none of its 2 choices"));
  EXPECT_THAT(
      error_of({{"image", "a.png"}, {"question", "?"}, {"answer", "x"}, {"scorer", "numeric"}}),
      HasSubstr("answer: expected a number, got 'x'"));
  EXPECT_THAT(
      error_of({{"image", "a.png"}, {"question", "?"}, {"answer", "xy"}, {"scorer", "choice"}}),
      HasSubstr("answer: expected a letter"));
}

TEST_F(EvalItems, EqualIdsAndEmptyFiles) {
  const std::string row =
      R"({"id": "a", "image": "a.png", "question": "?", "answer": "1", "scorer": "math"})";
  const std::string file = (folder_ / "twice.jsonl").string();
  EXPECT_EQ(input_error([&] { load("items", "twice.jsonl", row + "\n" + row + "\n"); }),
            file + ":2: id 'a' of benchmark 'twice' is that of " + file + ":1, too");
  EXPECT_EQ(load("items", "twice.jsonl", row + "\n" + row + "\n", BadRows::kSkip).size(), 1u);
  EXPECT_EQ(num_bad_, 1);
  EXPECT_THAT(input_error([&] { load("items", "bad.jsonl", "{}\n", BadRows::kSkip); }),
              HasSubstr("bad.jsonl: expected items, got none that can be used"));
  EXPECT_THAT(input_error([&] { load("items", "empty.jsonl", "", BadRows::kSkip); }),
              HasSubstr("empty.jsonl"));
}

TEST_F(EvalItems, PatternsAreFilesInTheOrderOfTheirNames) {
  for (const char* id : {"b", "a"})
    folder_.write(
        std::string("part_") + id + ".jsonl",
        json{{"id", id}, {"image", "a.png"}, {"question", "?"}, {"answer", "1"}, {"scorer", "math"}}
            .dump());
  EvalDataConfig config;
  config.files = {"items:" + (folder_ / "part_*.jsonl").string()};
  const auto items = load_items(config, *tokenizer_).items;
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].id, "a");
  EXPECT_EQ(items[1].benchmark, "part_b");
  config.files = {(folder_ / "none_*.jsonl").string()};
  EXPECT_THAT(input_error([&] { load_items(config, *tokenizer_); }),
              HasSubstr("none_*.jsonl: the pattern matches no file"));
}

/// A row is used with all of its items or none.
TEST_F(EvalItems, ARowWithABadItemIsBad) {
  const std::string rows =
      R"({"id": "r1", "image": "a.png", "reward_model": {"ground_truth": [{"question": "Which?", "choices": ["x", "y"], "answer": "A"}, {"question": "Who?", "choices": ["x", "y"], "answer": "C"}]}}
{"id": "r2", "image": "a.png", "reward_model": {"ground_truth": [{"question": "Which?", "choices": ["x", "y"], "answer": "A"}]}})";
  const auto items = load("qa", "rows.jsonl", rows, BadRows::kSkip);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].id, "r2-0");
  EXPECT_EQ(num_bad_, 1);
}

TEST_F(EvalItems, ManyChoices) {
  json item = {
      {"image", "a.png"}, {"question", "Which?"}, {"answer", "J"}, {"choices", json::array()}};
  for (int i = 0; i < 10; ++i) item["choices"].push_back("choice " + std::to_string(i));
  const auto items = load("items", "ten.jsonl", item.dump());
  EXPECT_EQ(items[0].expected.question->answer, 9);
  EXPECT_THAT(items[0].question, HasSubstr("\nJ) choice 9"));
}

TEST_F(EvalItems, Charts) {
  auto items = load("chartqa", "test_human.json",
                    R"([{"imgname": "a.png", "query": "How many bars?", "label": "14"}])");
  EXPECT_EQ(items[0].benchmark, "ChartQA");
  EXPECT_EQ(items[0].image.image.path, folder_ / "png/a.png");
  EXPECT_EQ(items[0].question, "How many bars?");
  EXPECT_THAT(items[0].expected.answers, ElementsAre("14"));
  EXPECT_THAT(items[0].scorers, ElementsAre("chart", "math"));

  items = load("charxiv", "data/reasoning_val.json",
               R"({"7": {"figure_id": 7, "query": "Which line?", "answer": "blue",
                         "inst_category": 1, "qa_source": 1}})");
  EXPECT_EQ(items[0].id, "7");
  EXPECT_TRUE(std::filesystem::equivalent(items[0].image.image.path, folder_ / "images/7.jpg"));
  EXPECT_THAT(items[0].scorers, ElementsAre("chart", "math"));

  items = load(
      "chartqapro", "pro.jsonl",
      R"({"Question": ["First?", "Second?"], "Answer": ["1", "2"], "Question Type": "Conversational", "image": "a.png", "Year": ["NO", "NO"], "Paragraph": ""})");
  EXPECT_EQ(items[0].question, "First?\n1\nSecond?");
  EXPECT_THAT(items[0].expected.answers, ElementsAre("2"));

  items = load("infovqa", "val.json", R"({"dataset_name": "infographicVQA", "data": [
    {"questionId": 5, "question": "Who?", "image_local_name": "b.png", "answers": ["x", "X y"]}]})");
  EXPECT_EQ(items[0].id, "5");
  EXPECT_THAT(items[0].expected.answers, ElementsAre("x", "X y"));
  EXPECT_THAT(items[0].scorers, ElementsAre("chart", "anls", "math"));
}

TEST_F(EvalItems, Mathematics) {
  auto items = load(
      "mathvision", "data/test.jsonl",
      R"({"id": "4", "question": "How many?\n<image1>", "options": [], "answer": "6", "image": "images/4.jpg"}
{"id": "6", "question": "Which?", "options": ["B", "A", "C"], "answer": "A", "image": "images/4.jpg"}
)");
  ASSERT_EQ(items.size(), 2u);
  EXPECT_TRUE(std::filesystem::equivalent(items[0].image.image.path, folder_ / "images/4.jpg"));
  EXPECT_THAT(items[0].scorers, ElementsAre("math"));
  EXPECT_EQ(items[1].expected.question->answer, 0) << "the letter, not the option called A";

  items = load("mathverse", "testmini.json", R"([
    {"sample_index": "1", "problem_version": "Vision Intensive", "question": "Find x.\nChoices:\nA:1\nB:2",
     "image": "4.jpg", "answer": "B", "question_type": "multi-choice", "query_wo": "directly"},
    {"sample_index": "2", "problem_version": "Vision Only", "question": "",
     "image": "4.jpg", "answer": "14", "question_type": "free-form", "query_wo": "As shown, answer."}])");
  EXPECT_EQ(items[0].benchmark, "MathVerse Vision Intensive");
  EXPECT_THAT(items[0].scorers, ElementsAre("choice"));
  EXPECT_FALSE(items[0].expected.question);
  EXPECT_EQ(items[1].question, "As shown, answer.");
  EXPECT_THAT(items[1].scorers, ElementsAre("math"));

  items = load("wemath", "testmini.json", R"([{"ID": "2steps_1", "question": "OA = ( ) m",
    "option": "A. 300, 400;B. 30; 5;   C. F; D. No correct answer", "answer": "C",
    "image_path": "2steps/image/1-1.png"}])");
  EXPECT_THAT(items[0].expected.question->choices,
              ElementsAre("300, 400", "30; 5", "F", "No correct answer"));
  EXPECT_EQ(items[0].expected.question->answer, 2);
}

TEST_F(EvalItems, MultipleChoice) {
  auto items = load("seed", "SEED-Bench.json", R"({"questions": [
    {"data_id": "a.png", "data_type": "image", "question": "Which?", "choice_a": "one", "choice_b": "two",
     "choice_c": "three", "choice_d": "four", "answer": "D", "question_id": "101"},
    {"data_id": "v.mp4", "data_type": "video", "question": "What?", "answer": "A", "question_id": "102"}]})");
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].expected.question->answer, 3);

  items = load(
      "mmmu_pro", "mix.jsonl",
      R"({"id": "t1", "question": "Which?", "options": ["x", "y"], "answer": "A", "image_1": "a.png", "shuffled_options": ["p", "x", "y"], "shuffled_options_answer": "B"})");
  EXPECT_EQ(items[0].expected.question->choices.size(), 3u);
  EXPECT_EQ(items[0].expected.question->answer, 1);
  EXPECT_THAT(input_error([&] {
                load("mmmu_pro", "mix.jsonl",
                     R"({"id": "t1", "image_1": "a.png", "image_2": "b.png"})");
              }),
              HasSubstr("mix.jsonl:1: expected one image, got several ('image_2')"));

  items = load("visulogic", "data.jsonl",
               R"({"id": "0", "image_path": "a.png", "question": "A, B, C or D?", "label": "C"})");
  EXPECT_THAT(items[0].expected.answers, ElementsAre("C"));

  items = load(
      "qa", "heldout.jsonl",
      R"({"id": "r1", "image": {"path": "a.png"}, "prompt": [{"role": "user", "content": "<image> describe"}], "reward_model": {"ground_truth": [{"question": "Which?", "choices": ["A) red", "B) blue"], "answer": "A"}, {"question": "How many?", "choices": ["A) 1", "B) 2"], "answer": "B"}]}})");
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[1].id, "r1-1");
  EXPECT_EQ(items[1].image.prompt[0].content[1].text, " describe");
}

TEST_F(EvalItems, Tables) {
  const auto items = load("vlmevalkit", "InfoVQA_VAL.tsv",
                          "index\timage\timage_path\tquestion\thint\tA\tB\tanswer\n"
                          "0\tQUJD\t\t\"a \"\"quoted\"\"\nquestion\"\t\tred\tblue\tB\n"
                          "1\t\ta.png\tHow many?\tLook closely.\t\t\t\"['3', \"\"three's\"\"]\"\r\n"
                          "2\t0\t\tAnd?\t\t\t\t4\n");
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[2].image.image.bytes, items[0].image.image.bytes);
  EXPECT_EQ(items[0].question, "a \"quoted\"\nquestion\nA) red\nB) blue");
  EXPECT_EQ(items[0].image.image.bytes.size(), 3u);
  EXPECT_EQ(items[0].benchmark, "InfoVQA_VAL");
  EXPECT_EQ(items[1].question, "Look closely.\nHow many?");
  EXPECT_THAT(items[1].expected.answers, ElementsAre("3", "three's"));
  EXPECT_THAT(items[1].scorers, ElementsAre("chart", "anls", "math"));
  EXPECT_THAT(input_error([&] { load("vlmevalkit", "x.tsv", "index\tquestion\n1\n"); }),
              HasSubstr("x.tsv: row 1: expected 2 fields, as in the first line, got 1"));
  EXPECT_THAT(input_error([&] { load("vlmevalkit", "x.tsv", "index\n\"1\n"); }),
              HasSubstr("x.tsv: a quoted field does not end"));
}

TEST_F(EvalItems, ARowOfATableThatIsNoUtf8) {
  const std::string table =
      "index\timage_path\tquestion\tA\tB\tanswer\n"
      "0\ta.png\tWhich \xff?\tx\ty\tA\n1\ta.png\tWhich?\tx\ty\tA\n";
  EXPECT_THAT(input_error([&] { load("vlmevalkit", "x.tsv", table); }),
              HasSubstr("x.tsv: row 1: expected UTF-8"));
  EXPECT_EQ(load("vlmevalkit", "x.tsv", table, BadRows::kSkip).size(), 1u);
  EXPECT_EQ(num_bad_, 1);
}

/// Files as they are on the Hub: the image beside the rest, and not read with it.
TEST_F(EvalItems, ParquetFiles) {
  if (!has_parquet()) GTEST_SKIP() << "this build has no Parquet";
  const json image = {{"bytes", json::binary({'A', 'B', 'C'})}, {"path", nullptr}};
  const auto load_rows = [&](const std::string& form, const std::vector<json>& rows,
                             BadRows bad_rows = BadRows::kStop) {
    const auto file = folder_ / (form + ".parquet");
    std::vector<ColumnType> columns = type_of(rows.front(), "").parts;
    for (ColumnType& column : columns)
      if (column.kind == ColumnType::Kind::kNull || column.find("path"))
        column = type_of({{"bytes", json::binary({})}, {"path", ""}}, column.name);
    ParquetWriter writer(file, columns);
    for (const json& row : rows) writer.append(row, "x");
    writer.commit();
    EvalDataConfig config;
    config.files = {form + ":" + file.string()};
    config.bad_rows = bad_rows;
    auto loaded = load_items(config, *tokenizer_);
    num_bad_ = loaded.num_bad;
    for (const EvalItem& item : loaded.items)
      EXPECT_EQ(file_content(item.image.image).bytes.size(), 3u) << form;
    return std::move(loaded.items);
  };
  const json star = {{"index", 0},
                     {"question", "Which?\nOptions: A: red, B: blue"},
                     {"image", image},
                     {"answer", "B"}};
  auto items = load_rows("mmstar", {star});
  EXPECT_EQ(items[0].benchmark, "MMStar");
  EXPECT_TRUE(items[0].image.image.bytes.empty()) << "stays in the file";
  EXPECT_THAT(items[0].expected.answers, ElementsAre("B"));
  json no_image = star;
  no_image["image"] = nullptr;
  no_image["index"] = 1;
  EXPECT_THAT(input_error([&] {
                load_rows("mmstar", {star, no_image});
              }),
              HasSubstr("mmstar.parquet: row 1 (row group 0): "));
  EXPECT_EQ(load_rows("mmstar", {star, no_image}, BadRows::kSkip).size(), 1u);
  EXPECT_EQ(num_bad_, 1);

  const json mmmu = {{"id", "v1"},       {"question", "<image 1> Which?"},
                     {"image_1", image}, {"options", R"(['a dog', "the cat's"])"},
                     {"answer", "B"},    {"image_2", nullptr}};
  json open = mmmu, two = mmmu;
  open["id"] = "v2";
  open["options"] = "[]";
  open["answer"] = "['24/7', '3.429']";
  two["id"] = "v3";
  two["image_2"] = image;
  items = load_rows("mmmu", {mmmu, open, two}, BadRows::kSkip);
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(num_bad_, 1);
  EXPECT_THAT(items[0].expected.question->choices, ElementsAre("a dog", "the cat's"));
  EXPECT_THAT(items[1].expected.answers, ElementsAre("24/7", "3.429"));
  EXPECT_THAT(items[1].scorers, ElementsAre("math"));

  items = load_rows("chartqapro", {{{"Question", {"How many?"}},
                                    {"Answer", {"3"}},
                                    {"image", json::binary({'A', 'B', 'C'})},
                                    {"Paragraph", "Of 2020."}}});
  EXPECT_EQ(items[0].question, "Of 2020.\nHow many?");
  items = load_rows("mathvision", {{{"id", "4"},
                                    {"question", "How many?"},
                                    {"options", {"B", "A"}},
                                    {"answer", "A"},
                                    {"image", "images/none.jpg"},
                                    {"decoded_image", image}}});
  EXPECT_EQ(items[0].expected.question->answer, 0);
  items =
      load_rows("qa", {{{"id", "r1"},
                        {"image", image},
                        {"reward_model",
                         {{"ground_truth",
                           {{{"question", "Which?"}, {"choices", {"x", "y"}}, {"answer", "B"}},
                            {{"question", "Who?"}, {"choices", {"x", "y"}}, {"answer", "A"}}}}}}}});
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[1].id, "r1-1");
}

TEST_F(EvalItems, ReleasedEvaluationFiles) {
  const json row = {
      {"image",
       {{{"role", "user"},
         {"content", {{{"type", "image"}, {"image", "/somewhere/else/a.png"}}}}}}},
      {"prompt",
       "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<|vision_start|><|image_pad|>"
       "<|vision_end|>How many bars?<|im_end|>\n<|im_start|>assistant\n"},
      {"answer", "3"}};
  const auto items = load("prism", "lmm_eval_chartqa.json", json::array({row}).dump());
  EXPECT_EQ(items[0].question, "How many bars?");
  EXPECT_EQ(items[0].image.image.path, folder_ / "a.png");
  EXPECT_THAT(items[0].scorers, ElementsAre("chart", "math"));
  EXPECT_THAT(load("prism", "lmm_eval_mmmu.json", json::array({row}).dump())[0].scorers,
              ElementsAre("math"));
}

}  // namespace
}  // namespace caprl
