#include "recipes/manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "calibration/data/data.h"
#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/hash.h"
#include "recipes/pass_table.h"

namespace lathe::recipes {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> data_files(const Recipe& recipe, const DataSpec& data,
                                 const char* key) {
  if (data.spec == "synthetic" || !data.given()) return {};
  if (data.descriptor.empty())
    return data::input_files(recipe.resolve(data.spec).string());
  return data::descriptor_files(
      JsonText::wrap(Json::parse(data.descriptor),
                     std::string("the recipe's ") + key),
      "", recipe.resolve("."));
}

}  // namespace

FileRecord record_file(const std::string& role, const fs::path& path) {
  return {role, path.string(), sha256_file(path), fs::file_size(path)};
}

// TensorProto.external_data is a list of StringStringEntryProto; the entry
// whose key (field 1) is "location" has the file's name as its value (field
// 2). The importer has parsed the file already; here the entries are only
// looked for in its bytes, and a name counts when such a file is there.
std::vector<fs::path> external_data_files(const fs::path& model) {
  constexpr std::string_view kKey = "\x0a\x08location\x12";
  const auto mapped = MappedFile::open(model);
  const std::string_view bytes(
      reinterpret_cast<const char*>(mapped->bytes().data()),
      mapped->bytes().size());
  std::set<fs::path> files;
  for (size_t at = bytes.find(kKey); at != std::string_view::npos;
       at = bytes.find(kKey, at + 1)) {
    const size_t length_at = at + kKey.size();
    if (length_at >= bytes.size()) break;
    const auto length = static_cast<unsigned char>(bytes[length_at]);
    if (length == 0 || length >= 0x80) continue;  // longer than any file name
    const fs::path name = std::string(bytes.substr(length_at + 1, length));
    std::error_code ignored;
    if (name.is_relative() &&
        fs::is_regular_file(model.parent_path() / name, ignored))
      files.insert((model.parent_path() / name).lexically_normal());
  }
  return {files.begin(), files.end()};
}

std::vector<FileRecord> record_inputs(const Recipe& recipe) {
  const fs::path model = recipe.resolve(recipe.model);
  std::vector<FileRecord> records = {record_file("model", model)};
  for (const fs::path& file : external_data_files(model))
    records.push_back(record_file("model", file));
  for (const fs::path& file : data_files(recipe, recipe.data, "data"))
    records.push_back(record_file("data", file));
  for (const fs::path& file : data_files(recipe, recipe.eval, "eval"))
    records.push_back(record_file("eval", file));
  for (const StageSpec& stage : recipe.stages) {
    const fs::path file = recipe.option_file(stage);
    if (file.empty()) continue;
    const std::string_view role = find_pass(stage.pass)->path_option;
    records.push_back(record_file(std::string(role), file));
    if (role != "student") continue;
    for (const fs::path& weights : external_data_files(file))
      records.push_back(record_file(std::string(role), weights));
  }
  return records;
}

std::vector<std::string> earlier_variants(const fs::path& folder) {
  std::vector<std::string> names;
  const fs::path path = folder / "manifest.json";
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return names;
  const Json manifest =
      Json::parse(read_file(path), /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (!manifest.is_object() || !manifest.contains("outputs") ||
      !manifest["outputs"].is_array())
    return names;
  for (const Json& output : manifest["outputs"]) {
    if (!output.is_object() || !output.contains("path") ||
        !output["path"].is_string())
      continue;
    const fs::path name = output["path"].get<std::string>();
    if (name.parent_path() == "variants")
      names.push_back(name.filename().string());
  }
  return names;
}

}  // namespace lathe::recipes
