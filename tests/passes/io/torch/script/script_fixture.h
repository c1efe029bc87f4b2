// TorchScript programs written in the test, saved, imported, and run beside
// LibTorch.
#pragma once

#include <string>
#include <vector>

#include "passes/io/torch/torch_import.h"
#include "tests/passes/io/torch/doctest_with_torch.h"

namespace lathe::test {

// A module with methods in Python's syntax ("def forward(self, x): …").
torch::jit::Module script(const std::string& source);

// Saved as the file `name` in a folder of its own, and imported.
io::Imported import_script(const torch::jit::Module& module,
                           const io::ImportOptions& options = {},
                           const std::string& name = "model.pt");

// Imports and CHECKs that ONNX Runtime gives what LibTorch gives, on every
// reference. Returns what was imported.
io::Imported check_script(const torch::jit::Module& module,
                          const io::ImportOptions& options = {});

// The largest difference of an output, relative to its largest element, over
// all references; every type and shape must agree.
double largest_difference(const io::Imported& imported);

// The message of the error that importing throws.
std::string script_error(const torch::jit::Module& module,
                         const io::ImportOptions& options = {});

// Types of the main graph's nodes, in order.
std::vector<std::string> node_types(const ir::Model& model);

}  // namespace lathe::test
