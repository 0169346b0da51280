#include <iostream>
#include <memory>

#include "caprl/core/log.h"
#include "caprl/core/termination.h"
#include "caprl/tasks/report.h"
#include "cli/commands.h"

namespace caprl {
namespace {

struct Options {
  ReportOptions report;
  bool follow = false;
};

void run(const Options& options) {
  if (options.follow) {
    catch_termination();
    follow_report(options.report, [] { return termination_signal() != 0; });
    return;
  }
  std::cout << write_report(options.report).string() << "\n";
}

}  // namespace

void add_report_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("report", "A run as one HTML page: curves and captions");
  auto options = std::make_shared<Options>();
  command->add_option("RUN", options->report.run, "run folder")->required();
  command->add_option("--out", options->report.out, "file to write; default: RUN/report.html");
  command->add_option("--compare", options->report.compare,
                      "folder of another run, whose curves are drawn beside");
  command->add_flag("--follow", options->follow,
                    "write it again whenever the run has got further, until it is done");
  command->callback([options] { run(*options); });
}

}  // namespace caprl
