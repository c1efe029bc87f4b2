#include "tools/full_program.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "passes/base/error.h"

namespace lathe::cli {

void become_full_program(const std::vector<std::string>& args) {
  std::error_code ignored;
  const std::filesystem::path self =
      std::filesystem::read_symlink("/proc/self/exe", ignored);
  const std::filesystem::path program = self.parent_path() / "lathe-torch";
  std::vector<std::string> texts = {"lathe"};
  texts.insert(texts.end(), args.begin(), args.end());
  std::vector<char*> argv;
  for (std::string& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);
  std::fflush(nullptr);
  ::execv(program.c_str(), argv.data());
  throw Error(
      ErrorKind::kUnsupported, program.string(),
      "cannot be started: " + std::generic_category().message(errno),
      "what needs LibTorch is a program of its own, which is built with "
      "`lathe` and has to lie beside it");
}

}  // namespace lathe::cli
