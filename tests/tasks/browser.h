// Pages opened in headless Chromium, where there is one.
#pragma once
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "caprl/core/files.h"
#include "caprl/io/json.h"

namespace caprl {

struct PageOutcome {
  nlohmann::json result;  // of the script
  std::string console;    // what the page wrote there: errors
};

class Browser {
 public:
  /// Whether it is there and starts.
  static bool exists() {
    static const bool starts =
        shell(kStart + " --dump-dom about:blank 2>/dev/null").find("<html") != std::string::npos;
    return starts;
  }

  /// `script`: the body of a function, called in the loaded page; what it returns comes back.
  static PageOutcome open(const std::filesystem::path& page, const std::string& script,
                          const std::string& address = "", int width = 1280) {
    const std::filesystem::path folder = page.parent_path();
    const std::filesystem::path tried = folder / "tried.html", errors = folder / "chromium.log";
    std::ofstream(tried) << read_file(page) << caller(script);
    const std::string dom = shell(fmt::format(
        "{} --user-data-dir='{}' --window-size={},900 --virtual-time-budget=3000 "
        "--enable-logging=stderr --dump-dom 'file://{}#{}' 2>'{}'",
        kStart, (folder / "profile").string(), width, tried.string(), address, errors.string()));
    return {result_of(dom), console_of(read_file(errors))};
  }

 private:
  inline static const std::string kStart =
      "timeout 60 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage";

  static std::string caller(const std::string& script) {
    return "<script>addEventListener('load', () => setTimeout(() => {"
           "const result = document.createElement('pre'); result.id = 'result';"
           "result.textContent = JSON.stringify((() => {" +
           script +
           "})());"
           "document.body.append(result); }, 300))</script>";
  }

  static nlohmann::json result_of(const std::string& dom) {
    const std::string begin = "<pre id=\"result\">";
    const size_t place = dom.find(begin);
    if (place == std::string::npos) {
      ADD_FAILURE() << "the page gave no result: " << dom.substr(0, 2000);
      return {};
    }
    std::string text = dom.substr(place + begin.size());
    text.resize(text.find("</pre>"));
    for (const auto& [code, meaning] :
         {std::pair{"&lt;", "<"}, {"&gt;", ">"}, {"&nbsp;", " "}, {"&amp;", "&"}})
      for (size_t at; (at = text.find(code)) != std::string::npos;)
        text.replace(at, std::string(code).size(), meaning);
    return parse_json(text, "the script's result");
  }

  static std::string console_of(const std::string& log) {
    std::string lines;
    for (size_t at = 0; (at = log.find("CONSOLE", at)) != std::string::npos; ++at)
      lines += log.substr(at, log.find('\n', at) - at) + "\n";
    return lines;
  }

  static std::string shell(const std::string& command) {
    std::FILE* pipe = ::popen(command.c_str(), "r");
    std::string out;
    std::array<char, 1 << 16> buffer;
    while (const size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe))
      out.append(buffer.data(), count);
    ::pclose(pipe);
    return out;
  }
};

}  // namespace caprl
