#include <nlohmann/json.hpp>

#include "batcher.h"
#include "caprl/core/error.h"
#include "caprl/core/version.h"
#include "caprl/http/metrics_text.h"
#include "caprl/reward/server.h"
#include "published_protocol.h"
#include "question_reward.h"
#include "server_metrics.h"

namespace caprl {

void RewardServerRunConfig::fields(ConfigVisitor& v) {
  v.field("seed", seed, "of question draws, option orders and sampled answers", Range{0, 9e18});
  v.field("device", device, "cpu, cuda, cuda:N, or auto: the first GPU if there is one");
  v.field("threads", threads, "CPU threads of the answerer; 0: all cores", Range{0, 4096});
}

void RewardServerConfig::fields(ConfigVisitor& v) {
  preset_field(v, preset);
  v.section("run", run, "seed and device");
  v.section("reward", reward, "questions, answerer, reward");
  v.section("server", server, "address, limits, token");
  v.field("max_batch_captions", max_batch_captions, "captions answered together at most",
          Range{1, 1e6});
  v.field("batch_wait_ms", batch_wait_ms,
          "milliseconds that a request waits for others to be answered with", Range{0, 60000});
}

std::vector<PresetValue> RewardServerConfig::preset_values() const {
  auto values = caprl::preset_values(reward_presets(), preset);
  // Of captioner's tokens, which only a trainer can count.
  std::erase_if(values, [](const PresetValue& v) { return v.path.starts_with("reward.length."); });
  return values;
}

void RewardServerConfig::validate() const {
  reward.validate();
  if (reward.answerer.model.empty())
    throw InputError("config: 'reward.answerer.model' must be set");
  for (const RewardTerm* term : reward.terms.active())
    if (term->needs_more_than_text())
      throw InputError(
          "config: 'reward.{}.weight': expected 0, got {}: requests carry texts alone; set this "
          "term in the trainer",
          term->name(), term->weight());
  if (reward.normalize_terms)
    throw InputError(
        "config: 'reward.normalize_terms': expected false: requests do not say which captions are "
        "of one group");
}

namespace {
using Answers = std::vector<std::vector<Answer>>;
}

struct RewardServer::Impl {
  RewardServerConfig config;
  QuestionReward questions;
  Batcher batcher;
  HttpServer server;  // last: its threads use the others

  Impl(RewardServerConfig given, at::Device device)
      : config(opened(std::move(given), device)),
        questions(config.reward, static_cast<uint64_t>(config.run.seed), device, Group::alone()),
        batcher(questions.answerer(), config.max_batch_captions, config.batch_wait_ms / 1000),
        server(config.server, routes()) {}

  static RewardServerConfig opened(RewardServerConfig config, at::Device device) {
    config.validate();
    config.reward.terms.open({static_cast<uint64_t>(config.run.seed), device});
    return config;
  }

  std::vector<HttpRoute> routes() {
    const auto post = [this](auto handle) {
      return [this, handle](HttpRequest&& request, HttpResponder&& responder) {
        (this->*handle)(std::move(request), std::make_shared<HttpResponder>(std::move(responder)));
      };
    };
    const auto get = [](auto body, const char* type) {
      return [body, type](HttpRequest&&, HttpResponder&& responder) {
        responder.answer({200, body(), type});
      };
    };
    return {{"POST", "/get_reward", post(&Impl::get_reward)},
            {"POST", "/answer", post(&Impl::answer)},
            {"GET", "/health", get([this] { return health(); }, "application/json"), true},
            {"GET", "/metrics",
             get([this] { return metrics_text(server.counters(), batcher.counts()); },
                 MetricsText::kContentType)}};
  }

  std::string health() const {
    const AnswererConfig& answerer = config.reward.answerer;
    return nlohmann::json{
        {"status", "ok"},
        {"version", version()},
        {"model", answerer.model},
        {"mode", answerer.mode == AnswerMode::kSample ? "sample" : "letter_logits"}}
        .dump();
  }

  void get_reward(HttpRequest&& request, const std::shared_ptr<HttpResponder>& responder) {
    BatchWork work;
    work.inquiries = draw_inquiries(parse_get_reward(request.body), config.reward,
                                    static_cast<uint64_t>(config.run.seed));
    if (work.inquiries.empty()) {
      responder->answer({200, get_reward_answer({})});
      return;
    }
    work.done = [this, responder, asked = work.inquiries](const Answers& answers) {
      responder->answer({200, get_reward_answer(rewards_of(asked, answers, config.reward))});
    };
    enqueue(std::move(work), responder);
  }

  void answer(HttpRequest&& request, const std::shared_ptr<HttpResponder>& responder) {
    BatchWork work;
    work.inquiries = parse_answer_request(request.body);
    if (work.inquiries.empty()) {
      responder->answer({200, answers_to_json({})});
      return;
    }
    work.done = [responder](const Answers& answers) {
      responder->answer({200, answers_to_json(answers)});
    };
    enqueue(std::move(work), responder);
  }

  void enqueue(BatchWork work, const std::shared_ptr<HttpResponder>& responder) {
    work.is_wanted = [responder] { return !responder->client_gone(); };
    work.failed = [responder](const std::string& message) {
      responder->answer(http_error(500, message));
    };
    batcher.add(std::move(work));
  }
};

RewardServer::RewardServer(RewardServerConfig config, at::Device device)
    : impl_(std::make_unique<Impl>(std::move(config), device)) {}
RewardServer::~RewardServer() = default;
std::string RewardServer::url() const { return impl_->server.url(); }
void RewardServer::stop() { impl_->server.stop(); }

}  // namespace caprl
