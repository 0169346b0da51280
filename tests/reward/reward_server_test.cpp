// The reward server over real sockets: what it answers, and what a trainer makes of it.
#include "caprl/reward/server.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "caprl/http/client.h"
#include "reward/published_protocol.h"
#include "support/metrics_parser.h"
#include "test_answerer.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class RewardServerTest : public testing::TestWithParam<AnswerMode> {
 protected:
  RewardServerConfig config() const {
    RewardServerConfig config;
    config.reward = dir_.config(GetParam());
    config.run.seed = 8;
    return config;
  }
  /// The trainer's side: everything but the answerer is the same.
  RewardConfig remote(const std::vector<std::string>& urls) const {
    RewardConfig config = dir_.config(GetParam());
    config.answerer.model = "";
    config.answerer.servers.url = urls;
    config.answerer.servers.captions_per_request = 2;
    config.answerer.servers.retry = {3, 0.01, 0.05, 20};
    return config;
  }
  static json entry(const std::string& caption) {
    const auto pair = [](const json& a, const json& b) { return json::array({a, b}); };
    return pair(caption, pair(pair("what color is the ball ?\nA) red\nB) blue\nC) green", "B"),
                              pair("what is the dog ?\n(A) a ball\n(B) blue", "(A)")));
  }
  static std::string request(const std::vector<std::string>& captions) {
    json prompts = json::array();
    for (const std::string& caption : captions) prompts.push_back(entry(caption));
    return json{{"prompts", prompts}, {"query", json::array()}, {"labels", json::array()}}.dump();
  }
  /// What the server should say, from the parts that it is made of.
  std::string expected(const std::string& body) const {
    const RewardConfig reward = config().reward;
    const auto inquiries = draw_inquiries(parse_get_reward(body), reward, 8);
    const auto model = Model::load(reward.answerer.model, {.dtype = at::kFloat});
    auto tokenizer = Tokenizer::load(reward.answerer.model);
    auto chat = ChatFormat::load(reward.answerer.model, tokenizer, "");
    AnswerPrompt prompt(reward.answerer, tokenizer, chat);
    const auto answerer = GetParam() == AnswerMode::kSample
                              ? make_sample_answerer(*model, prompt, reward.answerer)
                              : make_letter_answerer(*model, prompt, reward.answerer);
    return get_reward_answer(rewards_of(inquiries, answerer->answer(inquiries), reward));
  }

  AnswererDir dir_;
  HttpClient client_{HttpClientConfig{}};
};

TEST_P(RewardServerTest, AnswersAsTheProtocolSays) {
  RewardServer server(config(), at::kCPU);
  const std::string body = request({"the ball is red", "", "a dog", "the ball is red"});
  const HttpResult result = client_.post(server.url() + "/get_reward", body);
  EXPECT_EQ(result.status, 200);
  EXPECT_EQ(result.body, expected(body));
  const json rewards = json::parse(result.body).at("rewards");
  ASSERT_EQ(rewards.size(), 4u);
  EXPECT_EQ(rewards[0], rewards[3]) << "the same entry is asked the same";
  EXPECT_EQ(client_.post(server.url() + "/get_reward", body).body, result.body);
  EXPECT_EQ(client_.post(server.url() + "/get_reward", request({})).body, R"({"rewards":[]})");
}

TEST_P(RewardServerTest, ManyClientsGetTheirOwnAnswers) {
  RewardServerConfig config = this->config();
  config.max_batch_captions = 7;
  RewardServer server(config, at::kCPU);
  const std::vector<std::string> words{"red", "blue", "green", "ball", "dog", "what", "a", "is"};
  std::vector<std::string> bodies, answers;
  for (size_t i = 0; i < 24; ++i) {
    bodies.push_back(request({words[i % 8] + " " + words[i / 3], words[(i + 1) % 8]}));
    answers.push_back(expected(bodies.back()));
  }
  std::atomic<int64_t> wrong = 0;
  {
    std::vector<std::jthread> clients;
    for (size_t c = 0; c < 8; ++c)
      clients.emplace_back([&, c] {
        for (size_t i = c; i < 4 * bodies.size(); i += 8) {
          const size_t which = i % bodies.size();
          wrong += client_.post(server.url() + "/get_reward", bodies[which]).body != answers[which];
        }
      });
  }
  EXPECT_EQ(wrong, 0);
  const std::string metrics = client_.get(server.url() + "/metrics").body;
  EXPECT_EQ(MetricsParser::parse(metrics).at("caprl_http_answers_total{status=\"200\"}"), 96);
  EXPECT_THAT(metrics, HasSubstr("caprl_requests_total 96\n"));
  EXPECT_THAT(metrics, HasSubstr("caprl_captions_total 192\n"));
  EXPECT_THAT(metrics, HasSubstr("caprl_requests_failed_total 0\n"));
  EXPECT_THAT(metrics, HasSubstr("caprl_requests_waiting 0\n"));
}

TEST_P(RewardServerTest, FinishesWhatItAcceptedWhenItStops) {
  RewardServerConfig config = this->config();
  config.batch_wait_ms = 300;  // requests are still waiting when the stop comes
  RewardServer server(config, at::kCPU);
  const std::string url = server.url() + "/get_reward", body = request({"red", "blue"});
  std::vector<HttpResult> results(6);
  std::vector<std::jthread> clients;
  for (HttpResult& result : results)
    clients.emplace_back([&] { result = client_.post(url, body); });
  const auto accepted = [&] {
    return client_.get(server.url() + "/metrics").body.find("caprl_requests_total 6\n") !=
           std::string::npos;
  };
  for (int i = 0; i < 1000 && !accepted(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  server.stop();
  clients.clear();
  for (const HttpResult& result : results) EXPECT_EQ(result.body, expected(body));
  EXPECT_EQ(client_.post(url, body).failure, HttpFailure::kConnect);
}

TEST_P(RewardServerTest, ATrainerGetsWhatItsOwnAnswererWouldSay) {
  RewardServer one(config(), at::kCPU), two(config(), at::kCPU);
  const auto local = RewardModel(config().reward, 21, at::kCPU).score(some_groups(), 5);
  const auto expect_local = [&](const RewardConfig& remote) {
    const auto scores = RewardModel(remote, 21, at::kCPU).score(some_groups(), 5);
    ASSERT_EQ(scores.size(), local.size());
    for (size_t g = 0; g < local.size(); ++g) {
      ASSERT_EQ(scores[g].size(), local[g].size());
      for (size_t i = 0; i < local[g].size(); ++i) {
        EXPECT_EQ(scores[g][i].value, local[g][i].value);
        ASSERT_EQ(scores[g][i].answers.size(), local[g][i].answers.size());
        for (size_t a = 0; a < local[g][i].answers.size(); ++a) {
          EXPECT_EQ(scores[g][i].answers[a].output, local[g][i].answers[a].output);
          EXPECT_EQ(scores[g][i].answers[a].given, local[g][i].answers[a].given);
          EXPECT_EQ(scores[g][i].answers[a].right_probability,
                    local[g][i].answers[a].right_probability);
        }
      }
    }
  };
  expect_local(remote({one.url()}));
  expect_local(remote({one.url(), two.url() + "/"}));
  // One of them is not there any more.
  const std::string gone = two.url();
  two.stop();
  expect_local(remote({gone, one.url()}));
}

INSTANTIATE_TEST_SUITE_P(Modes, RewardServerTest,
                         testing::Values(AnswerMode::kSample, AnswerMode::kLetterLogits),
                         [](const auto& info) {
                           return info.param == AnswerMode::kSample ? "Sample" : "LetterLogits";
                         });

class RewardServerLettersTest : public RewardServerTest {};
INSTANTIATE_TEST_SUITE_P(Letters, RewardServerLettersTest,
                         testing::Values(AnswerMode::kLetterLogits));

TEST_P(RewardServerLettersTest, RefusesBadRequestsAndGoesOn) {
  setenv("CAPRL_TEST_TOKEN", "secret", 1);
  RewardServerConfig config = this->config();
  config.server.token_env = "CAPRL_TEST_TOKEN";
  RewardServer server(config, at::kCPU);
  HttpClientConfig with_token;
  with_token.token_env = "CAPRL_TEST_TOKEN";
  HttpClient client(with_token);
  const auto message = [&](const std::string& path, const std::string& body, int status) {
    const HttpResult result = client.post(server.url() + path, body);
    EXPECT_EQ(result.status, status) << result.body;
    const json error = json::parse(result.body).at("error");
    EXPECT_EQ(error.at("status"), status);
    return error.at("message").get<std::string>();
  };
  EXPECT_THAT(message("/get_reward", "{", 400), HasSubstr("the request"));
  EXPECT_THAT(message("/get_reward", "[]", 400), HasSubstr("expected an object, got array"));
  EXPECT_EQ(message("/get_reward", R"({"prompts":[["a",[["what?\nA) 1\nB) 2","C"]]]]})", 400),
            "prompts[0][1][0]: the answer 'C' of a question is none of its 2 choices");
  EXPECT_THAT(message("/answer", R"({"inquiries":[{"caption":"a"}]})", 400),
              HasSubstr("inquiries"));
  message("/rewards", "{}", 404);
  EXPECT_EQ(client.get(server.url() + "/get_reward").status, 405);
  EXPECT_EQ(client_.post(server.url() + "/get_reward", request({"red"})).status, 401);
  EXPECT_EQ(client_.get(server.url() + "/metrics").status, 401);
  const HttpResult health = client_.get(server.url() + "/health");
  EXPECT_EQ(health.status, 200);
  EXPECT_EQ(json::parse(health.body).at("mode"), "letter_logits");
  EXPECT_EQ(client.post(server.url() + "/get_reward", request({"red"})).body,
            expected(request({"red"})));
}

TEST_P(RewardServerLettersTest, CaptionsBeyondTheContextHaveNoReward) {
  const AnswererDir small(json{{"max_position_embeddings", 70}});
  RewardServerConfig config = this->config();
  config.reward.answerer.model = small.path().string();
  RewardServer server(config, at::kCPU);
  std::string lengthy;
  for (int i = 0; i < 90; ++i) lengthy += "red ";
  const json rewards = json::parse(
      client_.post(server.url() + "/get_reward", request({lengthy, "red"})).body)["rewards"];
  EXPECT_TRUE(rewards[0].is_null());
  EXPECT_TRUE(rewards[1].is_number());
}

TEST_P(RewardServerLettersTest, AnAnswererThatFailsIsNoZero) {
  const auto model = Model::load(dir_.path(), {.dtype = at::kFloat});
  {
    at::NoGradGuard no_grad;
    model->parameters().get("model.norm.weight").fill_(std::nanf(""));
  }
  dir_.write_weights(*model);
  RewardServer server(config(), at::kCPU);
  const HttpResult result = client_.post(server.url() + "/get_reward", request({"red"}));
  EXPECT_EQ(result.status, 500);
  EXPECT_THAT(result.body, HasSubstr("logits are not finite"));
  const RewardModel trainer(remote({server.url()}), 1, at::kCPU);
  EXPECT_THAT(message_of<Error>([&] { trainer.score(some_groups(), 1); }),
              HasSubstr("no server answered any of 3 requests"));
}

TEST_P(RewardServerLettersTest, TermsOfTheTextCountFromTheFirstRequest) {
  const TempFolder folder;
  write_file_atomic(folder.path() / "reward.yaml", "scale: 0\n");
  RewardServerConfig config = this->config();
  load_config(folder.path() / "reward.yaml",
              {"self_praise.weight=3", "repetition.weight=2", "repetition.ngram_size=1"},
              config.reward);
  RewardServer server(config, at::kCPU);
  const json rewards = json::parse(
      client_.post(server.url() + "/get_reward", request({"red red", "My caption is accurate."}))
          .body)["rewards"];
  EXPECT_EQ(rewards, json::array({-1.0, -1.0}));
}

// A pattern that backtracks without end.
TEST_P(RewardServerLettersTest, ATermThatFailsIsNoZero) {
  const TempFolder folder;
  write_file_atomic(folder.path() / "reward.yaml", "scale: 0\n");
  RewardServerConfig config = this->config();
  load_config(folder.path() / "reward.yaml",
              {"self_praise.weight=1", "self_praise.patterns=['(a+)+b']"}, config.reward);
  RewardServer server(config, at::kCPU);
  const HttpResult failed =
      client_.post(server.url() + "/get_reward", request({std::string(60, 'a')}));
  EXPECT_EQ(failed.status, 500);
  EXPECT_THAT(failed.body, HasSubstr("U_REGEX_TIME_OUT"));
  EXPECT_EQ(client_.post(server.url() + "/get_reward", request({"red"})).body,
            R"({"rewards":[0.0]})");
}

TEST_P(RewardServerLettersTest, WhatAServerSaysWrongIsInvalidNotZero) {
  RewardServer good(config(), at::kCPU);
  std::atomic<int64_t> posts = 0;
  // Passes two requests on, and answers the others with too few answers.
  HttpServer middle(
      HttpServerConfig{},
      {{"GET", "/health",
        [](HttpRequest&&, HttpResponder&& responder) {
          responder.answer({200, "{}"});
        }},
       {"POST", "/answer", [&](HttpRequest&& request, HttpResponder&& responder) {
          const bool passes = ++posts <= 2;
          responder.answer({200, passes ? client_.post(good.url() + "/answer", request.body).body
                                        : std::string(R"({"answers":[]})")});
        }}});
  RewardConfig config = remote({middle.url()});
  config.answerer.servers.requests_per_server = 1;
  const auto scores = RewardModel(config, 1, at::kCPU).score(some_groups(), 1);
  EXPECT_EQ(posts, 3);
  int64_t absent = 0;
  for (const auto& group : scores)
    for (const CaptionReward& caption : group) {
      absent += !caption.value;
      for (const AnswerRecord& answer : caption.answers) EXPECT_EQ(answer.valid, !!caption.value);
    }
  EXPECT_EQ(absent, 2);  // six different captions, two a request
}

TEST_P(RewardServerLettersTest, SaysWhatIsWrongBeforeItServes) {
  const auto fault = [&](auto change) {
    RewardServerConfig config = this->config();
    change(config);
    return message_of<InputError>([&] { RewardServer(std::move(config), at::kCPU); });
  };
  EXPECT_THAT(fault([](auto& c) { c.reward.normalize_terms = true; }),
              HasSubstr("'reward.normalize_terms': expected false"));
  EXPECT_THAT(fault([](auto& c) { c.reward.answerer.model = ""; }),
              HasSubstr("'reward.answerer.model' must be set"));
  const RewardServer first(config(), at::kCPU);
  const std::string port = first.url().substr(first.url().rfind(':') + 1);
  EXPECT_THAT(fault([&](auto& c) { c.server.port = std::stoll(port); }), HasSubstr(port));
  EXPECT_THAT(message_of<Error>([&] { RewardModel(remote({"http://127.0.0.1:1"}), 1, at::kCPU); }),
              HasSubstr("'reward.answerer.url': none of 1 servers answers"));
  EXPECT_THAT(message_of<InputError>([&] { RewardModel(remote({"localhost"}), 1, at::kCPU); }),
              HasSubstr("expected http://host:port or https://…, got 'localhost'"));
  RewardConfig both = remote({first.url()});
  both.answerer.model = "m";
  EXPECT_THAT(message_of<InputError>([&] { both.validate(); }), HasSubstr("are both set"));
}

TEST(RewardServerConfig, TermsThatNeedATrainerAreRefused) {
  const TempFolder folder;
  write_file_atomic(folder.path() / "serve.yaml",
                    "preset: capRL++\nreward: {answerer: {model: m}}\n");
  RewardServerConfig config;
  load_config(folder.path() / "serve.yaml", {}, config);
  config.validate();  // the preset's length term is the trainer's
  load_config(folder.path() / "serve.yaml", {"reward.length.weight=0.2"}, config);
  EXPECT_THAT(message_of<InputError>([&] { config.validate(); }),
              HasSubstr("'reward.length.weight': expected 0, got 0.2"));
}

}  // namespace
}  // namespace caprl
