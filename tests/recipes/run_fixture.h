// A folder with a small model and a recipe for it.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "passes/base/file.h"
#include "passes/io/onnx/onnx.h"
#include "recipes/run.h"
#include "tests/recipes/tiny_model.h"
#include "tests/support/shared.h"

namespace lathe::test {

// int8 takes half the time, wherever it is measured.
inline std::map<std::string, double> fast_int8() {
  return {{"score-3", 500}, {"-int8", 500}};
}

inline Json tiny_recipe() {
  return Json::parse(R"({"schema_version": 1, "model": "tiny.onnx",
    "data": {"format": "procedural", "count": 40, "seed": 1},
    "targets": {"latency": ["0.6x"]},
    "stages": [{"pass": "simplify"},
               {"pass": "quantize_static", "options": {"placement": "all"}}]})");
}

struct RunFixture {
  TempDir folder;
  Json json = tiny_recipe();
  recipes::RunOptions options;
  TableMeter meter{fast_int8()};

  RunFixture() {
    io::export_onnx(tiny_classifier(), folder.path() / "tiny.onnx");
    options.out_dir = folder.path() / "out";
    options.meter = &meter;
    options.jobs = 2;
  }
  recipes::Recipe recipe() const {
    return recipes::parse(JsonText::wrap(json, "test recipe"), folder.path());
  }
  recipes::RunOutcome run() const { return recipes::run(recipe(), options); }
  Json written(const char* name) const {
    return Json::parse(read_file(options.out_dir / name));
  }
};

inline std::set<std::string> files_below(const std::filesystem::path& folder) {
  std::set<std::string> files;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file())
      files.insert(std::filesystem::relative(entry.path(), folder).string());
  return files;
}

inline const Json& item(const Json& list, const char* key, const char* value) {
  for (const Json& one : list)
    if (one[key] == value) return one;
  FAIL("no item with " << key << " = " << value);
  return list;
}

}  // namespace lathe::test
