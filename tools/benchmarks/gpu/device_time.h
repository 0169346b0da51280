// Milliseconds and memory of work on a GPU, by CUDA events and PyTorch's allocator.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

namespace caprl::bench {

using Work = std::function<void(int64_t call)>;

/// `samples` times: milliseconds of `calls` calls in a row, divided by `calls`. Calls are numbered
/// from 0 through all samples, so that work can take turns between inputs. The caller has warmed
/// up.
std::vector<double> time_on_device(const Work& work, int64_t samples, int64_t calls = 1);

/// Bytes that `work` had allocated at its worst beyond what is still allocated when it has ended:
/// its temporaries. Results that it leaves behind do not count.
int64_t peak_of_temporaries(const std::function<void()>& work);

/// Gives memory that PyTorch keeps for later back to the device, for other processes.
void release_cached_memory();

int64_t free_device_memory();

/// From now on tensors that are made without values hold NaN (integers: their maximum): whatever an
/// operation forgets to write shows.
void poison_new_tensors(bool poison);

}  // namespace caprl::bench
