// What HTTP servers and clients share: answers, errors as JSON, bearer tokens.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace caprl {

/// An answer of a server.
struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};  // further ones, name and value
};

/// {"error": {"message": …, "status": …}}; bytes of the message that are no UTF-8 are replaced.
HttpResponse http_error(int status, std::string_view message);

/// The token in the environment variable called `env` or in the file `file`, without white space
/// around it; nothing if neither is named. Throws InputError if both are named, if the named one
/// does not exist, and if what it holds is empty or not of printable ASCII without spaces. No
/// message shows the token.
std::string read_bearer_token(const std::string& env, const std::string& file);

/// Whether an Authorization header carries the token; as long for every header of a length.
bool has_bearer_token(std::string_view authorization, std::string_view token);

}  // namespace caprl
