// doctest after LibTorch, whose logging defines a CHECK of its own;
// precompiled.
#pragma once

#include "passes/io/torch/script/jit.h"

#undef CHECK
#include <doctest/doctest.h>
