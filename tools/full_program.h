// The program is built twice: `lathe`, which starts fast because it does not
// load LibTorch, and `lathe-torch` beside it, which has all of it. What needs
// LibTorch throws NeedsTorch in the first, and it becomes the second.
#pragma once

#include <string>
#include <vector>

namespace lathe::cli {

// No Error and no std::exception: nothing on the way may take it for one.
struct NeedsTorch {};

// Replaces this process by `lathe-torch` with the same arguments. Error
// kUnsupported where it cannot be started.
[[noreturn]] void become_full_program(const std::vector<std::string>& args);

}  // namespace lathe::cli
