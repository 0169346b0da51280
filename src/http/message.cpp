#include "caprl/http/message.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "caprl/core/files.h"

namespace caprl {
namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

HttpResponse http_error(int status, std::string_view message) {
  const nlohmann::ordered_json body{
      {"error", {{"message", std::string(message)}, {"status", status}}}};
  return {.status = status,
          .body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
}

std::string read_bearer_token(const std::string& env, const std::string& file) {
  if (env.empty() && file.empty()) return {};
  if (!env.empty() && !file.empty())
    throw InputError("token_env is {} and token_file is {}: expected one of them at most", env,
                     file);
  const std::string where =
      env.empty() ? "token_file " + file : "token_env: the environment variable " + env;
  std::string content;
  if (env.empty()) {
    content = at_place("token_file", [&] { return read_file(file); });
  } else {
    const char* value = std::getenv(env.c_str());
    if (value == nullptr) throw InputError("{} is not set; expected it to hold the token", where);
    content = value;
  }
  const std::string_view token = trim(content);
  if (token.empty()) throw InputError("{} is empty; expected it to hold the token", where);
  if (!std::ranges::all_of(token, [](char c) { return c > ' ' && c <= '~'; }))
    throw InputError(
        "{} does not hold a token; expected printable ASCII characters without spaces, got "
        "others",
        where);
  return std::string(token);
}

bool has_bearer_token(std::string_view authorization, std::string_view token) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size()) return false;
  for (size_t i = 0; i < kScheme.size(); ++i)
    if ((static_cast<unsigned char>(authorization[i]) | 0x20) != kScheme[i]) return false;
  const std::string_view given = trim(authorization.substr(kScheme.size()));
  // Reads all of what was given, however early it differs. volatile: the compiler must not end the
  // loop before.
  volatile unsigned difference = given.size() == token.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i)
    difference = difference | (static_cast<unsigned char>(given[i]) ^
                               static_cast<unsigned char>(token[i % token.size()]));
  return difference == 0;
}

}  // namespace caprl
