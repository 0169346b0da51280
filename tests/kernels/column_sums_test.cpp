#include "kernels/column_sums.h"

#include <gtest/gtest.h>

#include "kernels/row_operand.h"

namespace caprl::kernels {
namespace {

/// Small integers: their sums are exact in any order, so a row left out or counted twice shows.
template <class T>
std::vector<T> integers(size_t count) {
  std::vector<T> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] = from_float<T>(static_cast<float>(static_cast<int>(i * 7919 % 101) - 50));
  return values;
}

/// Of sums that hold their column's number before.
template <class T>
void expect_sums(const RowShape& shape) {
  SCOPED_TRACE(shape);
  const RowOperand<T> x(shape, shape.stride(0), shape.offset_of(0),
                        integers<T>(shape.num_rows * shape.stride(0)));
  std::vector<float> before(shape.width);
  for (size_t j = 0; j < before.size(); ++j) before[j] = static_cast<float>(j);
  DeviceBuffer<float> sums(before),
      workspace(static_cast<size_t>(column_sums_workspace(shape.num_rows, shape.width)));
  column_sums<T>({.x = const_cast<RowOperand<T>&>(x).get(),
                  .stride = x.stride,
                  .num_rows = shape.num_rows,
                  .width = shape.width,
                  .sums = sums.get(),
                  .workspace = workspace.get()},
                 nullptr);
  const std::vector<float> got = sums.values();
  for (int64_t j = 0; j < shape.width; ++j) {
    double expected = static_cast<double>(j);
    for (int64_t row = 0; row < shape.num_rows; ++row) expected += x(row, j);
    ASSERT_EQ(got[j], expected) << "column " << j;
  }
}

template <class T>
class ColumnSumsOf : public testing::Test {};
using Elements = testing::Types<float, Bf16>;
TYPED_TEST_SUITE(ColumnSumsOf, Elements);

TYPED_TEST(ColumnSumsOf, CountEveryRowOnce) {
  std::vector<RowShape> shapes = {{0, 8},        {1, 1},      {3, 7},       {5, 8, 8},
                                  {31, 63, 1},   {33, 64, 3}, {64, 256},    {65, 264},
                                  {127, 129},    {300, 16},   {2, 4104},    {1037, 40},
                                  {4, 64, 0, 1}, {130, 1000}, {700, 520, 8}};
  add_misaligned(shapes, 1);
  for (const RowShape& shape : shapes) expect_sums<TypeParam>(shape);
}

/// More rows than blocks take 64 of.
TYPED_TEST(ColumnSumsOf, CountEveryRowOnceWhereBlocksTakeMore) {
  expect_sums<TypeParam>({1056 * 64 + 77, 3});
}

TYPED_TEST(ColumnSumsOf, NanStaysInItsColumn) {
  std::vector<TypeParam> values(200 * 16, from_float<TypeParam>(1.0f));
  values[150 * 16 + 5] = from_float<TypeParam>(std::numeric_limits<float>::quiet_NaN());
  DeviceBuffer<TypeParam> x(values);
  DeviceBuffer<float> sums(std::vector<float>(16, 0.0f)),
      workspace(static_cast<size_t>(column_sums_workspace(200, 16)));
  column_sums<TypeParam>({x.get(), 16, 200, 16, sums.get(), workspace.get()}, nullptr);
  const auto got = sums.values();
  for (int j = 0; j < 16; ++j) EXPECT_TRUE(j == 5 ? std::isnan(got[j]) : got[j] == 200) << j;
}

}  // namespace
}  // namespace caprl::kernels
