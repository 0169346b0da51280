// The project's exceptions: main() prints the message and leaves with exit_code().
#pragma once
#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace caprl {

/// The run failed (exit code 1). Messages are one clear sentence: what, where, expected, got.
class Error : public std::runtime_error {
 public:
  template <class... Args>
  explicit Error(fmt::format_string<Args...> format, Args&&... args)
      : std::runtime_error(fmt::format(format, std::forward<Args>(args)...)) {}
  virtual int exit_code() const { return 1; }
};

/// The user's input was wrong (exit code 2): a config, a data file, a model directory, a command
/// line.
class InputError : public Error {
 public:
  using Error::Error;
  int exit_code() const override { return 2; }
};

/// The run was told to stop, has saved what it has, and can be continued: a launcher's signal to
/// start it again.
class Stopped : public Error {
 public:
  using Error::Error;
  int exit_code() const override { return 3; }
};

/// What `work` gives; the message of its InputError is led by "WHERE: ".
template <class Work>
decltype(auto) at_place(std::string_view where, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const InputError& error) {
    throw InputError("{}: {}", where, error.what());
  }
}

}  // namespace caprl
