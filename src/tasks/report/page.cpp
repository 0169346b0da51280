#include "tasks/report/page.h"

#include <report_page_files.h>  // made of page/ by CMake

#include <string_view>

namespace caprl {
namespace {

/// What is no UTF-8 becomes U+FFFD.
std::string text_of(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// JSON inside <script>: no "<" may end it.
std::string script_text(const nlohmann::json& data) {
  const std::string text = text_of(data);
  std::string safe;
  safe.reserve(text.size());
  for (const char c : text) {
    if (c == '<')
      safe += "\\u003c";
    else
      safe += c;
  }
  return safe;
}

}  // namespace

int64_t size_of(const nlohmann::json& value) { return std::ssize(text_of(value)); }

std::string make_page(const nlohmann::json& data) {
  std::string page;
  std::string_view rest = report_page_file("page.html");
  for (size_t begin; (begin = rest.find("{{")) != std::string_view::npos;) {
    const size_t end = rest.find("}}", begin);
    const std::string_view name = rest.substr(begin + 2, end - begin - 2);
    page += rest.substr(0, begin);
    if (name == "data")
      page += script_text(data);
    else
      page += report_page_file(name);
    rest.remove_prefix(end + 2);
  }
  return page += rest;
}

}  // namespace caprl
