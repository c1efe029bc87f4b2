// Whether a converted model gives what the framework it comes from gives.
#pragma once

#include <string>

#include "passes/io/import.h"

namespace lathe::cli {

struct ConversionCheck {
  size_t calls = 0;  // 0: the source could not be run
  // Of all outputs: |difference| / the output's largest magnitude.
  double max_relative_difference = 0;
  std::string output;  // where that was
};

// Largest difference that counts as rounding: 1e-4, and 1e-2 where an output
// is half or bfloat16.
double allowed_difference(const io::Imported& imported);

// Runs the model in ONNX Runtime on the references' inputs. Error kInternal,
// with `where`, when an output's size or type differs.
ConversionCheck check_conversion(const io::Imported& imported,
                                 const std::string& where);

}  // namespace lathe::cli
