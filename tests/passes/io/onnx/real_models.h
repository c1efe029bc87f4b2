// The models that the tests share.
#pragma once

#include <filesystem>
#include <vector>

namespace lathe::test {

// Every .onnx file of the shared models, sorted; empty (with a line that says
// so) where they are not there.
std::vector<std::filesystem::path> real_models();

}  // namespace lathe::test
