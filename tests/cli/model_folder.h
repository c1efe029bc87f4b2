// A folder with a small model, to run the program in.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "passes/base/json.h"
#include "tests/cli/models.h"
#include "tests/cli/process.h"
#include "tests/support/shared.h"

namespace lathe::test {

struct ModelFolder {
  ModelFolder() { write_small_model(path("m.onnx")); }
  ProcessResult run(const std::vector<std::string>& args) const {
    return run_lathe(args, {.folder = folder.path(), .environment = {}});
  }
  // What the command, which must succeed, prints with --json.
  Json json(std::vector<std::string> args) const {
    args.push_back("--json");
    const auto result = run(args);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return Json::parse(result.out);
  }
  std::filesystem::path path(const std::string& name) const {
    return folder.path() / name;
  }
  TempDir folder;
};

inline std::vector<std::string> keys(const Json& object) {
  std::vector<std::string> names;
  for (const auto& [key, value] : object.items()) names.push_back(key);
  return names;
}

}  // namespace lathe::test
