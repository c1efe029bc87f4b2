// What a target device's integer kernels want of a model.
#pragma once

#include <string>

namespace lathe {

struct DeviceTraits {
  std::string name;  // for remarks
  // uint8 activations run best (x86); else int8 ones (Arm).
  bool unsigned_activations = true;
  // Kernels of uint8 times int8 add two products in 16 bits, with saturation:
  // x86 without VNNI instructions.
  bool pairs_saturate = false;
};

}  // namespace lathe
