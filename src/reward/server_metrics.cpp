#include "server_metrics.h"

#include "caprl/http/metrics_text.h"

namespace caprl {

std::string metrics_text(const HttpServerCounters& http, const BatchCounts& batches) {
  MetricsText::Labelled answers;
  for (const auto& [status, count] : http.answers)
    answers.emplace_back(std::to_string(status), count);
  MetricsText text;
  text.counter("caprl_http_answers_total", "Answers by status.", "status", answers);
  text.counter("caprl_http_dropped_answers_total", "Answers whose client had gone.",
               http.dropped_answers);
  text.counter("caprl_http_received_bytes_total", "Bytes of requests' bodies.",
               http.body_bytes_received);
  text.counter("caprl_http_sent_bytes_total", "Bytes of answers' bodies.", http.body_bytes_sent);
  text.gauge("caprl_http_connections", "Open connections.", http.connections_open);
  text.gauge("caprl_requests_in_flight", "Requests without an answer yet.",
             http.requests_in_flight);
  text.gauge("caprl_requests_waiting", "Requests that no batch has taken yet.", batches.waiting);
  text.counter("caprl_batches_total", "Batches answered.", batches.batches);
  text.counter("caprl_requests_total", "Requests for the answerer.", batches.requests);
  text.counter("caprl_requests_failed_total", "Requests that the answerer failed.",
               batches.failures);
  text.counter("caprl_requests_abandoned_total", "Requests whose client had gone.",
               batches.abandoned);
  text.counter("caprl_captions_total", "Captions asked about.", batches.captions);
  text.counter("caprl_answers_total", "Valid answers.", batches.answers);
  text.counter("caprl_invalid_answers_total", "Questions beyond the answerer's context.",
               batches.invalid_answers);
  text.counter("caprl_tokens_read_total", "Tokens that the answerer read.", batches.tokens_read);
  text.counter("caprl_cached_tokens_total", "Tokens that it need not read again.",
               batches.cached_tokens);
  text.counter("caprl_busy_seconds_total", "Seconds spent on answering.", batches.busy_seconds);
  return text.take();
}

}  // namespace caprl
