// Precompiled header of the tests that use Torch.
#pragma once
#include "pch.h"
#include "../../src/pch.h"
