#include "cli/run_app.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "caprl/core/error.h"

namespace caprl {
namespace {

constexpr int kFailed = 1, kWrongInput = 2;

int report(const char* message, int exit_code) {
  fmt::print(stderr, "error: {}\n", message);
  return exit_code;
}

bool has_command(CLI::App& app, const std::string& name) {
  return !app.get_subcommands([&](CLI::App* command) { return command->check_name(name); }).empty();
}

}  // namespace

int run_app(CLI::App& app, std::vector<std::string> arguments) {
  if (!arguments.empty() && !arguments[0].starts_with('-') && !has_command(app, arguments[0])) {
    fmt::print(stderr, "error: unknown command '{}'; {} --help names them\n", arguments[0],
               app.get_name());
    return kWrongInput;
  }
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    app.parse(std::move(arguments));
    return 0;
  } catch (const CLI::ParseError& error) {
    // Prints the error, or help or version, which have the exit code 0.
    return app.exit(error) == 0 ? 0 : kWrongInput;
  } catch (const Error& error) {
    return report(error.what(), error.exit_code());
  } catch (const c10::Error& error) {
    return report(error.what_without_backtrace(), kFailed);
  } catch (const std::bad_alloc&) {
    return report("out of memory", kFailed);
  } catch (const std::exception& error) {
    return report(error.what(), kFailed);
  }
}

}  // namespace caprl
