#include "tasks/qa/stage.h"

namespace caprl {

StageItems::StageItems(const QaRun& run, const std::string& stem) : run_(run) {
  for_each_record(records_files(run.dir(), stem), run.inputs.size(),
                  [this](const Record& record) { done_.insert(record.index); });
  for (int64_t i = 0; i < run.inputs.size(); ++i) size_ += is_mine(i);
  log_info("{}: {} items done before, {} to do on this rank", stem, done_.size(), size_);
}

bool StageItems::is_mine(int64_t index) const {
  return run_.world.group().is_mine(index) && run_.inputs.is_distinct(index) &&
         !done_.contains(index);
}

}  // namespace caprl
