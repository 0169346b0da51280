#include "caprl/tasks/qa.h"

#include "cli/commands.h"
#include "cli/task_run.h"

namespace caprl {

void add_qa_command(CLI::App& app) {
  add_result_command<QaConfig>(
      app, "qa", "Curate questions about images: generate, extract, filter by answering",
      curate_questions);
}

}  // namespace caprl
