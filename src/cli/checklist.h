// Checks whose findings are printed as they come: what is well, and what is not, why, and what to
// do.
#pragma once
#include <fmt/format.h>

#include <functional>
#include <iostream>
#include <string>

#include "caprl/core/error.h"

namespace caprl {

class Checklist {
 public:
  /// Prints "  ok      NAME  what `work` gives", or, of an exception, "  FAILED  NAME  its
  /// message". False: it failed.
  bool check(const std::string& name, const std::function<std::string()>& work) {
    ++count_;
    try {
      print("ok", name, work());
      return true;
    } catch (const std::exception& error) {
      print("FAILED", name, error.what());
      ++failed_;
      return false;
    }
  }
  void fail(const std::string& name, const std::string& why) {
    check(name, [&]() -> std::string { throw Error("{}", why); });
  }
  /// Something to know that is no fault.
  void note(const std::string& name, const std::string& text) const { print("note", name, text); }

  bool all_passed() const { return failed_ == 0; }
  /// "2 of 7 checks"
  std::string failures() const { return fmt::format("{} of {} checks failed", failed_, count_); }

 private:
  /// Further lines are set under the first.
  static void print(const char* state, const std::string& name, const std::string& text) {
    std::cout << fmt::format("  {:<6}  {:<10}  ", state, name);
    for (const char c : text) {
      std::cout << c;
      if (c == '\n') std::cout << std::string(22, ' ');
    }
    std::cout << std::endl;  // seen while the next check goes on
  }

  int count_ = 0, failed_ = 0;
};

}  // namespace caprl
