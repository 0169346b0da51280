// The caprl side of `tools/bench data`.
//   caprl-bench-data FILE stream THREADS   every row: its JSON and its image's bytes
//   caprl-bench-data FILE train MODEL      all rows' texts held, then images far apart
// Prints the numbers of rows, image bytes and questions' bytes; then every line on stdin asks for
// one round, whose seconds are the answer. "memory" asks for the highest resident bytes so far.
#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <atomic>

#include "caprl/core/parallel.h"
#include "caprl/data/dataset.h"
#include "caprl/data/reader.h"
#include "caprl/text/tokenizer.h"
#include "round_program.h"

namespace caprl {
namespace {

struct Read {
  int64_t rows = 0, image_bytes = 0, question_bytes = 0;
};

int64_t peak_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

/// Images of a block are read by all threads; they would be decoded there.
int64_t read_images(const std::vector<StoredImage>& images) {
  std::atomic<int64_t> bytes = 0;
  parallel_for(0, static_cast<int64_t>(images.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const StoredImage& image = images[static_cast<size_t>(i)];
      bytes += static_cast<int64_t>(image.store->read(image.index).bytes.size());
    }
  });
  return bytes;
}

Read stream(const std::string& file) {
  constexpr size_t kBlock = 256;
  Read all;
  std::vector<StoredImage> images;
  const auto reader = DataReader::open(file, RowKind::kCaption);
  while (const auto place = reader->next()) {
    const nlohmann::json row = reader->row();
    ++all.rows;
    for (const auto& question : row["reward_model"]["ground_truth"])
      all.question_bytes +=
          static_cast<int64_t>(question["question"].get_ref<const std::string&>().size());
    images.push_back(place->image);
    if (images.size() < kBlock) continue;
    all.image_bytes += read_images(images);
    images.clear();
  }
  all.image_bytes += read_images(images);
  return all;
}

Read train(const std::string& file, const std::string& model) {
  constexpr int64_t kImages = 512, kStride = 7919;
  const auto dataset = load_caption_rows({file}, BadRows::kStop, *Tokenizer::load(model));
  Read all;
  all.rows = static_cast<int64_t>(dataset.rows.size());
  for (const CaptionRow& row : dataset.rows)
    for (const Question& question : row.questions)
      all.question_bytes += static_cast<int64_t>(question.text.size());
  for (int64_t i = 0; i < kImages; ++i) {
    const CaptionRow& row = dataset.rows[static_cast<size_t>(i * kStride % all.rows)];
    all.image_bytes += static_cast<int64_t>(file_content(row.image).bytes.size());
  }
  return all;
}

int bench(int argc, char** argv) {
  const std::string how = argc == 4 ? argv[2] : "";
  if (how != "stream" && how != "train")
    throw InputError("usage: caprl-bench-data FILE stream THREADS|train MODEL");
  if (how == "stream") at::set_num_threads(std::atoi(argv[3]));
  const auto round = [&] { return how == "stream" ? stream(argv[1]) : train(argv[1], argv[3]); };
  const Read first = round();
  std::cout << first.rows << " " << first.image_bytes << " " << first.question_bytes << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "memory") {
      std::cout << peak_bytes() << std::endl;
      continue;
    }
    const auto start = Clock::now();
    round();
    std::cout << seconds_since(start) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace caprl

int main(int argc, char** argv) { return caprl::run_round_program(argc, argv, caprl::bench); }
