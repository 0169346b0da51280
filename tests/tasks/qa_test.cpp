// `caprl qa` on the demonstration's world: what is asked, and what becomes of it.
#include <set>

#include "caprl/data/dataset.h"
#include "caprl/generation/prompts.h"
#include "caprl/io/parquet.h"
#include "qa_run.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;

TEST_F(Qa, EveryQuestionIsAskedWithAndWithoutTheImage) {
  whole();
  EXPECT_EQ(result_.items, 12);
  EXPECT_EQ(result_.found, 72);
  EXPECT_EQ(result_.extracted, 72);
  EXPECT_EQ(result_.answers, 72 * 8);
  EXPECT_EQ(result_.kept + result_.dropped["guessable"], 72);
  EXPECT_GT(result_.kept, 0);
  const auto answered = records("whole", "answered");
  ASSERT_EQ(answered.size(), 12u);
  std::set<std::string> texts;
  int64_t right_with_image = 0;
  for (const auto& [index, line] : answered) {
    ASSERT_EQ(line.at("questions").size(), 6u);
    for (const json& question : line.at("questions"))
      for (const char* branch : {"visual", "text"}) {
        const json& counts = question.at(branch);
        ASSERT_EQ(counts.at("outputs").size(), 4u);
        EXPECT_EQ(counts.at("asked"), 4);
        // Where the right option stands when the options have moved on r times.
        const auto num_choices = std::ssize(question.at("choices"));
        const int64_t answer = question.at("answer").get<std::string>()[0] - 'A';
        int64_t right = 0;
        for (int64_t r = 0; r < 4; ++r) {
          const char letter = static_cast<char>('A' + (answer + 4 * num_choices - r) % num_choices);
          right += counts.at("outputs")[r] == std::string(1, letter);
          texts.insert(counts.at("outputs")[r].get<std::string>());
        }
        EXPECT_EQ(counts.at("right"), right) << question;
        right_with_image += std::string(branch) == "visual" ? right : 0;
      }
  }
  EXPECT_GT(right_with_image, 20);
  EXPECT_GT(texts.size(), 2u);
  EXPECT_GT(result_.dropped["guessable"], 0);
  const json saved = read_json(folder_ / "whole/result.json");
  EXPECT_EQ(saved.at("kept"), result_.kept);
  EXPECT_THAT(result_table(result_), HasSubstr("answered without the image"));
}

/// The rows are what training reads, and hold just what was kept.
TEST_F(Qa, RowsOfTheTrainingSchema) {
  whole();
  const auto tokenizer = Tokenizer::load(kQaModel);
  const auto rows =
      load_caption_rows({path("whole/questions.jsonl")}, BadRows::kStop, *tokenizer).rows;
  const auto given =
      load_caption_rows({path("world/train.jsonl")}, BadRows::kStop, *tokenizer).rows;
  EXPECT_EQ(std::ssize(rows), result_.images_kept);
  std::map<std::string, const CaptionRow*> by_id;
  for (const CaptionRow& row : given) by_id[row.id] = &row;
  int64_t questions = 0;
  for (const CaptionRow& row : rows) {
    const CaptionRow& source = *by_id.at(row.id);
    EXPECT_TRUE(fs::equivalent(row.image.path, source.image.path));
    questions += std::ssize(row.questions);
    for (const Question& question : row.questions)
      EXPECT_TRUE(
          std::any_of(source.questions.begin(), source.questions.end(), [&](const Question& other) {
            return other.text == question.text && other.choices == question.choices &&
                   other.answer == question.answer;
          }));
  }
  EXPECT_EQ(questions, result_.kept);
  int64_t dropped = 0;
  for (const json& line : lines(folder_ / "whole/dropped.jsonl")) {
    EXPECT_EQ(line.at("reason"), "guessable");
    ++dropped;
  }
  EXPECT_EQ(dropped + questions, 72);
}

TEST_F(Qa, ParquetHoldsTheSameRowsAndTheImages) {
  if (!has_parquet()) GTEST_SKIP() << "this build has no Parquet";
  whole();
  QaConfig c = config("whole");
  c.output.format = QaFormat::kParquet;  // needs no new answers
  c.output.embed_images = true;
  const auto before = fs::last_write_time(folder_ / "whole/answered.jsonl");
  const QaResult result = curate_questions(c);
  EXPECT_EQ(fs::last_write_time(folder_ / "whole/answered.jsonl"), before);
  EXPECT_EQ(result.kept, result_.kept);
  const auto tokenizer = Tokenizer::load(kQaModel);
  const auto read = [&](const std::string& name) {
    return load_caption_rows({path(name)}, BadRows::kStop, *tokenizer).rows;
  };
  const auto rows = read("whole/questions.parquet"), plain = read("whole/questions.jsonl");
  ASSERT_EQ(rows.size(), plain.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].id, plain[i].id);
    EXPECT_EQ(rows[i].questions.size(), plain[i].questions.size());
    const SharedBytes one = file_content(rows[i].image), other = file_content(plain[i].image);
    EXPECT_TRUE(std::ranges::equal(one.bytes, other.bytes));
  }
}

/// All prompts of an image share what they begin with; each answer is that of its own whole prompt.
TEST_F(Qa, AnswersAreThoseOfWholePrompts) {
  QaConfig c = config("greedy");
  c.filter.temperature = 0;
  c.filter.repetition_penalty = 1;
  curate_questions(c);
  const auto model = Model::load(model_, {at::kFloat, at::kCPU, TrainedParts::kNone});
  const PromptBuilder prompts(model_, {}, model->traits(), 4096);
  const auto tokenizer = prompts.shared_tokenizer();
  const auto rows = load_caption_rows({path("world/train.jsonl")}, BadRows::kStop, *tokenizer).rows;
  const auto answered = records("greedy", "answered");
  int64_t differences = 0;
  for (const int64_t index : {0, 7}) {
    const CaptionRow& row = rows[index];
    for (const size_t q : {size_t{0}, row.questions.size() - 1})
      for (const bool blind : {false, true}) {
        const Question& question = row.questions[q];
        const json& given = answered.at(index).at("questions")[q];
        for (int64_t rotation = 0; rotation < 4; ++rotation) {
          std::vector<std::string> options = question.choices;
          std::rotate(options.begin(), options.begin() + rotation % std::ssize(options),
                      options.end());
          if (!blind) options.push_back("unknown");
          std::string text = "question : " + question.text;
          for (size_t i = 0; i < options.size(); ++i)
            text += fmt::format("\n{}) {}", static_cast<char>('A' + i), options[i]);
          ChatMessage message{"user", {}};
          if (!blind) message.content.push_back({ChatPart::Kind::kImage, {}});
          message.content.push_back({ChatPart::Kind::kText, text});
          GenerationRequest request;
          request.prompt =
              prompts.build(std::span(&message, 1), std::span(&row.image, blind ? 0 : 1), "test");
          request.suffixes.resize(1);
          SamplingParams params;
          params.temperature = 0;
          params.max_new_tokens = 4;
          params.stop_ids = prompts.chat().stop_ids();
          params.banned_ids = model->traits().vision_token_ids;
          const auto sequences = generate(*model, std::span(&request, 1), params);
          const json outputs = given.at(blind ? "text" : "visual").at("outputs");
          EXPECT_EQ(outputs.at(rotation), prompts.text(sequences[0][0].ids));
        }
        differences += given.at("text").at("outputs") != given.at("visual").at("outputs");
      }
  }
  EXPECT_GT(differences, 0);
}

/// What the writer says is read by the next stage: texts put in its place.
TEST_F(Qa, WrittenTextsAreExtractedAndAsked) {
  const QaConfig c = writing("texts");
  const QaResult before = curate_questions(c);
  EXPECT_EQ(before.responses, 12);
  EXPECT_EQ(before.found, 0);  // captions, no questions
  std::string replaced;
  for (json line : lines(folder_ / "texts/written.jsonl")) {
    const bool is_cut = line["index"] == 3;
    line["response"]["text"] =
        "1. what color is topleft ?\nA) red\nB) blue\nAnswer: A\n\n"
        "2. how many objects ?\nA) two\nB) three\nAnswer: C\n\n3. wh";
    line["response"]["finish_reason"] = is_cut ? "length" : "stop";
    replaced += line.dump() + "\n";
  }
  write_file_atomic(folder_ / "texts/written.jsonl", replaced);
  fs::remove(folder_ / "texts/answered.jsonl");
  const QaResult result = curate_questions(c);
  EXPECT_EQ(result.responses, 12);
  EXPECT_EQ(result.truncated_responses, 1);
  EXPECT_EQ(result.extracted, 12);
  EXPECT_EQ(result.dropped.at("malformed"), 24);
  EXPECT_EQ(result.found, 36);
  int64_t malformed = 0;
  for (const json& line : lines(folder_ / "texts/dropped.jsonl"))
    if (line.at("stage") == "extract") {
      EXPECT_THAT(line.at("why").get<std::string>(),
                  testing::AnyOf(HasSubstr("'C' is none of its 2 choices"),
                                 HasSubstr("it has no choices")));
      ++malformed;
    }
  EXPECT_EQ(malformed, 24);
}

TEST_F(Qa, ThePublishedProtocol) {
  QaConfig published;
  load_config(fs::path(CAPRL_SOURCE_DIR "/configs/qa_caprl.yaml"), {}, published);
  published.validate();
  for (const QaConfig& c : {published, QaConfig()}) {
    EXPECT_EQ(c.writer.num_questions, 5);
    EXPECT_EQ(c.writer.temperature, 0.1);
    EXPECT_EQ(c.writer.repetition_penalty, 1.05);
    EXPECT_EQ(c.writer.max_new_tokens, 2048);
    EXPECT_EQ(c.filter.rotations, 4);
    EXPECT_EQ(c.filter.temperature, 0.1);
    EXPECT_EQ(c.filter.max_new_tokens, 4);
    EXPECT_EQ(c.filter.repetition_penalty, 1.05);
    EXPECT_EQ(c.filter.min_visual_accuracy, 0.75);
    EXPECT_EQ(c.filter.max_text_accuracy, 0.25);
  }
}

}  // namespace
}  // namespace caprl
