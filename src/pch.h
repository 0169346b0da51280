// Precompiled header of every file that uses Torch: the parts of it that nearly all of them need.
// Autograd's own headers would cost every other file a second: templates that a header leaves
// pending are made in each.
#pragma once
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "pch_plain.h"
