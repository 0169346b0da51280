#include "kernels/column_sums.h"

#include <ATen/ATen.h>

#include "ops/elements.h"
#include "ops/fused/device.h"
#include "ops/fused/kernels.h"
#include "ops/rows.h"

namespace caprl::ops::fused {

void add_column_sums(const at::Tensor& x, at::Tensor& sums) {
  const at::Tensor rows = as_rows(x);
  const at::Tensor workspace =
      at::empty({kernels::column_sums_workspace(rows.size(0), rows.size(1))},
                rows.options().dtype(at::kFloat));
  with_element(x.scalar_type(), [&](auto element) {
    using T = decltype(element);
    kernels::ColumnSums<T> work;
    work.x = data<T>(rows);
    work.stride = rows.stride(0);
    work.num_rows = rows.size(0);
    work.width = rows.size(1);
    work.sums = data<float>(sums);
    work.workspace = data<float>(workspace);
    kernels::column_sums(work, stream_of(x));
  });
}

}  // namespace caprl::ops::fused
