#include "caprl/tasks/eval.h"

#include "cli/commands.h"
#include "cli/task_run.h"

namespace caprl {

void add_eval_command(CLI::App& app) {
  add_result_command<PrismConfig>(
      app, "eval", "Measure a captioner by questions answered from its captions alone", evaluate);
}

}  // namespace caprl
