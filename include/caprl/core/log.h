// The program's log: spdlog, to stderr.
#pragma once

namespace caprl {

/// Sends spdlog's default logger to stderr in the project's one pattern: "07:30:12 I message". On a
/// terminal a message replaces a progress bar, which is drawn again by its next update. Call once,
/// at the start of main().
void init_logging();

}  // namespace caprl
