// The house's rules on includes, checked on every source file.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iterator>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "passes/base/file.h"
#include "passes/base/text.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

// Rooms from left to right. A file includes from its own room and from rooms
// of a lower rank; rooms of one rank do not see each other.
struct Room {
  const char* prefix;
  int rank;
};
constexpr Room kRooms[] = {
    {"passes/base/", 1},     {"passes/ir/", 2},      {"passes/io/", 4},
    {"passes/exec/", 4},     {"passes/rewrite/", 5}, {"passes/prune/", 6},
    {"passes/quantize/", 6}, {"passes/distill/", 6}, {"passes/", 3},
    {"calibration/", 7},     {"recipes/", 8},        {"tools/", 9},
};

const Room* room_of(const std::string& path) {
  for (const Room& room : kRooms)
    if (path.starts_with(room.prefix)) return &room;
  return nullptr;
}

// Libraries that stay in some files.
struct Fence {
  const char* include;  // regular expression over the included name
  const char* allowed;  // the same over the including file's path
};
const Fence kFences[] = {
    {"google/protobuf/.*|onnx/.*|.*\\.pb\\.h", "passes/io/onnx/.*\\.cc"},
    {"onnxruntime_.*|onnxruntime/.*", "calibration/latency/.*\\.cc"},
    {"torch/.*|ATen/.*|c10/.*|caffe2/.*",
     "passes/(distill|exec|prune|quantize|io/torch)/.*\\.cc|"
     "passes/(exec|io/torch)/.*\\.h"},
    {"nlohmann/json\\.hpp", ".*\\.cc"},
    {"opencv2/.*", "calibration/data/.*\\.cc"},
    {"archive\\.h|archive_entry\\.h", "calibration/data/.*\\.cc"},
    {"CLI/.*", "tools/.*\\.cc"},
};

// What is wrong with one file; `exists` tells whether a path from the root is
// a file.
std::vector<std::string> violations(
    const std::string& path, const std::string& text,
    const std::function<bool(const std::string&)>& exists) {
  static const std::regex kInclude(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  std::vector<std::string> found;
  const Room* room = room_of(path);
  if (path.ends_with(".h") && text.find("#pragma once\n") == std::string::npos)
    found.push_back(path + ": a header without #pragma once");
  int number = 0;
  for (const std::string& line : split(text, '\n')) {
    ++number;
    std::smatch match;
    if (!std::regex_search(line, match, kInclude)) continue;
    const std::string name = match[2];
    const auto report = [&](const std::string& what) {
      found.push_back(path + ":" + std::to_string(number) + ": " + name + ": " +
                      what);
    };
    for (const Fence& fence : kFences)
      if (std::regex_match(name, std::regex(fence.include)) &&
          !std::regex_match(path, std::regex(fence.allowed)))
        report("only files of " + std::string(fence.allowed) +
               " may include this");
    const Room* other = room_of(name);
    if (match[1] == "\"" && (!other || !exists(name)))
      report("not a full path from the root to a file");
    if (match[1] == "<" && other) report("a file of ours in angle brackets");
    if (room && other && room != other && other->rank >= room->rank)
      report(std::string(room->prefix) + " may not include " + other->prefix);
  }
  return found;
}

std::vector<std::string> sources() {
  const fs::path root(LATHE_SOURCE_DIR);
  std::vector<std::string> paths;
  for (const char* top : {"passes", "calibration", "recipes", "tools"})
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      const std::string extension = entry.path().extension();
      if (extension == ".h" || extension == ".cc")
        paths.push_back(fs::relative(entry.path(), root).generic_string());
    }
  std::sort(paths.begin(), paths.end());
  return paths;
}

TEST_CASE("includes point one way only") {
  const fs::path root(LATHE_SOURCE_DIR);
  const std::vector<std::string> paths = sources();
  REQUIRE(paths.size() > 50);
  for (const std::string& path : paths) {
    const auto found =
        violations(path, read_file(root / path), [&](const std::string& name) {
          return fs::is_regular_file(root / name);
        });
    CHECK_MESSAGE(found.empty(), join(found, "\n"));
  }
}

TEST_CASE("the checker bites") {
  const auto check = [](const std::string& path, const std::string& text) {
    return join(violations(path, text,
                           [](const std::string& name) {
                             return name != "passes/base/gone.h";
                           }),
                "\n");
  };
  CHECK(check("passes/ir/a.cc",
              "#include \"passes/base/error.h\"\n"
              "#include \"passes/ir/graph.h\"\n"
              "#include <vector>\n") == "");
  CHECK(check("passes/base/a.cc", "\n#include \"passes/ir/graph.h\"\n") ==
        "passes/base/a.cc:2: passes/ir/graph.h: passes/base/ may not include "
        "passes/ir/");
  CHECK(check("passes/ir/a.cc", "#include \"passes/pass.h\"") ==
        "passes/ir/a.cc:1: passes/pass.h: passes/ir/ may not include passes/");
  CHECK(
      check("passes/rewrite/a.cc", "#  include \"calibration/data/data.h\"") ==
      "passes/rewrite/a.cc:1: calibration/data/data.h: passes/rewrite/ may "
      "not include calibration/");
  CHECK(check("passes/quantize/a.cc", "#include \"passes/prune/prune.h\"") ==
        "passes/quantize/a.cc:1: passes/prune/prune.h: passes/quantize/ may "
        "not include passes/prune/");
  CHECK(check("recipes/a.cc", "#include \"tools/output.h\"") ==
        "recipes/a.cc:1: tools/output.h: recipes/ may not include tools/");
  CHECK(check("tools/a.cc", "#include \"output.h\"") ==
        "tools/a.cc:1: output.h: not a full path from the root to a file");
  CHECK(check("tools/a.cc", "#include \"passes/base/gone.h\"") ==
        "tools/a.cc:1: passes/base/gone.h: not a full path from the root to a "
        "file");
  CHECK(check("tools/a.cc", "#include <passes/base/error.h>") ==
        "tools/a.cc:1: passes/base/error.h: a file of ours in angle brackets");
  CHECK(check("tools/a.h", "#include <vector>\n") ==
        "tools/a.h: a header without #pragma once");
}

TEST_CASE("the checker keeps libraries in their rooms") {
  const auto bites = [](const std::string& path, const std::string& name) {
    return violations(path, "#pragma once\n#include <" + name + ">\n",
                      [](const std::string&) { return true; })
               .size() == 1;
  };
  CHECK(bites("tools/cmd_demo.cc", "torch/torch.h"));
  CHECK(bites("passes/distill/demo_teacher.h", "torch/torch.h"));
  CHECK_FALSE(bites("passes/distill/demo_teacher.cc", "torch/torch.h"));
  CHECK(bites("passes/ir/graph.cc", "onnx/onnx_pb.h"));
  CHECK_FALSE(bites("passes/io/onnx/importer.cc", "onnx/onnx_pb.h"));
  CHECK(bites("calibration/latency/session.h", "onnxruntime_cxx_api.h"));
  CHECK_FALSE(bites("calibration/latency/session.cc", "onnxruntime_cxx_api.h"));
  CHECK(bites("passes/base/json.h", "nlohmann/json.hpp"));
  CHECK_FALSE(bites("passes/base/json.h", "nlohmann/json_fwd.hpp"));
  CHECK(bites("calibration/data/image.h", "opencv2/imgproc.hpp"));
  CHECK(bites("passes/base/file.cc", "CLI/CLI.hpp"));
}

}  // namespace
}  // namespace lathe
