#include "caprl/ops/low_rank.h"

namespace caprl::ops {
namespace {

thread_local int guards = 0;

}  // namespace

AdaptersOff::AdaptersOff() { ++guards; }
AdaptersOff::~AdaptersOff() { --guards; }
bool AdaptersOff::here() { return guards > 0; }

}  // namespace caprl::ops
