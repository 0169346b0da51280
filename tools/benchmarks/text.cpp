// The caprl side of `tools/bench text`: documents in memory → ids, on one thread.
//   caprl-bench-text MODEL_DIR FILE
// FILE holds one JSON string a line. Every line on stdin asks for one round over all of them; the
// answer is its seconds.

#include "caprl/io/jsonl.h"
#include "caprl/text/tokenizer.h"
#include "round_program.h"

namespace caprl {
namespace {

void one_round(const Tokenizer& tokenizer, const std::vector<std::string>& documents) {
  size_t num_ids = 0;
  for (const std::string& text : documents) num_ids += tokenizer.encode(text, true).size();
  if (num_ids == 0) throw Error("no ids");
}

int bench(int argc, char** argv) {
  if (argc != 3) throw InputError("usage: caprl-bench-text MODEL_DIR FILE");
  const auto tokenizer = Tokenizer::load(argv[1]);
  std::vector<std::string> documents;
  for (JsonlReader reader(argv[2]); auto line = reader.next();)
    documents.push_back(line->value.get<std::string>());
  answer_rounds([&] { one_round(*tokenizer, documents); });
  return 0;
}

}  // namespace
}  // namespace caprl

int main(int argc, char** argv) { return caprl::run_round_program(argc, argv, caprl::bench); }
