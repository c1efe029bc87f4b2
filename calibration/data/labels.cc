#include "calibration/data/labels.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "calibration/data/csv.h"
#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/text.h"

namespace lathe::data {
namespace {

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

// The folders that all files share: "train/" of train/cat/1.jpg,
// train/dog/1.jpg.
size_t common_folder_length(const FileSet& files) {
  if (files.empty()) return 0;
  std::string_view common = files.front().path;
  for (const DataFile& file : files) {
    const auto [end, unused] = std::mismatch(
        common.begin(), common.end(), file.path.begin(), file.path.end());
    common = common.substr(0, static_cast<size_t>(end - common.begin()));
  }
  const size_t slash = common.rfind('/');
  return slash == std::string_view::npos ? 0 : slash + 1;
}

std::optional<int64_t> to_integer(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

// `place(i)`: what messages call name i.
template <class Place>
std::vector<int64_t> number(const std::vector<std::string>& names,
                            const LabelRules& rules, bool integers_count,
                            Place place) {
  std::vector<int64_t> labels;
  std::vector<std::string> classes = rules.classes;
  const bool integers = classes.empty() && integers_count && !names.empty() &&
                        to_integer(names.front()).has_value();
  if (classes.empty() && !integers) {
    const std::set<std::string> sorted(names.begin(), names.end());
    classes.assign(sorted.begin(), sorted.end());
  }
  std::unordered_map<std::string, int64_t> numbers;
  for (const std::string& name : classes)
    numbers.emplace(name, static_cast<int64_t>(numbers.size()));
  for (size_t i = 0; i < names.size(); ++i) {
    int64_t label = 0;
    if (integers) {
      const std::optional<int64_t> value = to_integer(names[i]);
      if (!value || *value < -1000000000 || *value > 1000000000)
        throw_input(place(i),
                    fmt::format("expected an integer label as before, found "
                                "'{}'",
                                names[i]));
      label = *value;
    } else {
      const auto known = numbers.find(names[i]);
      if (known == numbers.end())
        throw_input(place(i),
                    fmt::format("class '{}' is not in labels.classes{}",
                                names[i], did_you_mean(names[i], classes)));
      label = known->second;
    }
    label += rules.offset;
    if (label < 0)
      throw_input(place(i),
                  fmt::format("label {} is negative after the offset {}", label,
                              rules.offset));
    labels.push_back(label);
  }
  return labels;
}

LabelledFiles by_folder(FileSet files, const Descriptor& descriptor) {
  const size_t common = common_folder_length(files);
  std::vector<std::string> names;
  for (const DataFile& file : files)
    names.push_back(folder_of(file.path.substr(common)));
  LabelledFiles result;
  const bool flat = std::all_of(names.begin(), names.end(),
                                [](const auto& name) { return name.empty(); });
  if (flat) {
    if (descriptor.labels.classes.empty()) {
      result.files = std::move(files);
      return result;
    }
    // One class alone: its folder is the one all files share.
    for (std::string& name : names) {
      const std::string folder = folder_of(files.front().path);
      name = folder.substr(folder.rfind('/') + 1);
    }
  } else {
    for (size_t i = 0; i < names.size(); ++i)
      if (names[i].empty())
        throw_input(files[i].blob.name(),
                    "lies beside the folders of the classes and so belongs to "
                    "none",
                    "move it into a folder, or say \"labels\": {\"from\": "
                    "\"none\"}");
  }
  result.labels = number(names, descriptor.labels, /*integers_count=*/false,
                         [&](size_t i) { return files[i].blob.name(); });
  result.files = std::move(files);
  return result;
}

LabelledFiles by_prefix(FileSet files, const Descriptor& descriptor) {
  std::vector<std::string> names;
  for (const DataFile& file : files) {
    const std::string name = file.path.substr(file.path.rfind('/') + 1);
    names.push_back(name.substr(0, name.find_first_of("_.")));
  }
  LabelledFiles result;
  result.labels = number(names, descriptor.labels, /*integers_count=*/true,
                         [&](size_t i) { return files[i].blob.name(); });
  result.files = std::move(files);
  return result;
}

size_t column(const CsvRow& header, const std::string& name,
              const std::string& where) {
  const auto found =
      std::find(header.fields.begin(), header.fields.end(), name);
  if (found == header.fields.end()) {
    std::string nearest = did_you_mean(name, header.fields);
    if (nearest.empty()) nearest = "; it has " + join(header.fields, ", ");
    throw_input(fmt::format("{}:{}", where, header.line),
                fmt::format("no column '{}'{}", name, nearest));
  }
  return static_cast<size_t>(found - header.fields.begin());
}

LabelledFiles by_csv(const FileSet& files, const Descriptor& descriptor) {
  const LabelRules& rules = descriptor.labels;
  const std::string where = rules.csv.string();
  const std::vector<CsvRow> rows =
      parse_csv(read_file(rules.csv, kMaxFileBytes), where);
  if (rows.empty()) throw_input(where, "the list of labels is empty");
  const size_t file_column = column(rows[0], rules.file_column, where);
  const size_t label_column = column(rows[0], rules.label_column, where);
  // A file is listed by its path, or by what follows the folders all share.
  const size_t common = common_folder_length(files);
  std::unordered_map<std::string_view, const DataFile*> by_path;
  for (const DataFile& file : files)
    by_path.emplace(std::string_view(file.path).substr(common), &file);
  for (const DataFile& file : files) by_path[file.path] = &file;
  const auto place = [&](size_t i) {
    return fmt::format("{}:{}", where, rows[i + 1].line);
  };
  LabelledFiles result;
  std::vector<std::string> names;
  for (size_t i = 0; i + 1 < rows.size(); ++i) {
    std::string_view path = trim(rows[i + 1].fields[file_column]);
    if (path.starts_with("./")) path.remove_prefix(2);
    const auto found = by_path.find(path);
    if (found == by_path.end())
      throw_input(place(i), fmt::format("'{}' is not in '{}'", path,
                                        descriptor.path.string()));
    result.files.push_back(*found->second);
    names.emplace_back(trim(rows[i + 1].fields[label_column]));
  }
  result.labels = number(names, rules, /*integers_count=*/true, place);
  return result;
}

}  // namespace

LabelledFiles label_files(FileSet files, const Descriptor& descriptor) {
  LabelledFiles result;
  const std::string& from = descriptor.labels.from;
  if (from == "csv")
    result = by_csv(files, descriptor);
  else if (from == "name-prefix")
    result = by_prefix(std::move(files), descriptor);
  else if (from == "folder")
    result = by_folder(std::move(files), descriptor);
  else
    result.files = std::move(files);
  result.classes = static_cast<int64_t>(
      std::set<int64_t>(result.labels.begin(), result.labels.end()).size());
  return result;
}

}  // namespace lathe::data
