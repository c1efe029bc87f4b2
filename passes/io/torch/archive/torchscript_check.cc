// Where LibTorch trusts the file: it takes a storage's size and a tensor's
// sizes and strides from the pickle, indexes the texts of debug files with
// numbers out of them, finds entries by name whatever their case, and recurses
// over source code.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_set>

#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/io/torch/archive/torch_file.h"
#include "passes/io/torch/archive/torch_tensors.h"
#include "passes/io/torch/archive/torchscript_source.h"

namespace lathe::io {
namespace {

using Kind = PickleValue::Kind;

constexpr uint64_t kMaxSourceBytes = uint64_t{64} << 20;
// Pickles and source code together.
constexpr uint64_t kMaxTextBytes = uint64_t{1} << 30;

std::string lower_case(std::string_view name) {
  std::string lower(name);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

void check_names(const ZipArchive& archive) {
  std::set<std::string> seen;
  uint64_t text_bytes = 0;
  for (const std::string& name : archive.names()) {
    const std::string lower = lower_case(name);
    if (!seen.insert(lower).second)
      throw_input(archive.where(),
                  fmt::format("holds '{}' under two names that differ only in "
                              "case",
                              printable(lower)));
    if (lower == "model.json")
      throw_input(archive.where(), "is TorchScript in the old form",
                  "load it in PyTorch and save it again with torch.jit.save");
    if (lower.ends_with(".py") || lower.ends_with("pkl"))
      text_bytes += std::min(archive.size_of(name), kMaxTextBytes + 1);
  }
  if (text_bytes > kMaxTextBytes)
    throw_input(archive.where(),
                fmt::format("its pickles and sources have more than {}",
                            format_bytes(kMaxTextBytes)));
}

// Calls `visit` once for every value, however often it is shared.
template <class Visit>
void visit_values(const PickleValue& root, const Visit& visit) {
  std::vector<const PickleValue*> left{&root};
  std::unordered_set<const PickleValue*> seen;
  while (!left.empty()) {
    const PickleValue& value = *left.back();
    left.pop_back();
    visit(value);
    for (const PicklePointer& item : value.items)
      if (item->items.empty() ? item->kind == Kind::kTensor
                              : seen.insert(item.get()).second)
        left.push_back(item.get());
  }
}

void check_values(const ZipArchive& archive, const std::string& pickle,
                  const std::string& folder, const PickleValue& root) {
  visit_values(root, [&](const PickleValue& value) {
    if (value.kind == Kind::kObject &&
        value.text.starts_with("__torch__.torch.classes."))
      throw_unsupported(
          fmt::format("{}: {}", archive.where(), pickle),
          fmt::format("holds an object of PyTorch's own class '{}'",
                      value.text),
          "export the model before it is quantized or packed");
    if (value.kind != Kind::kTensor) return;
    ir::DataType type{};
    checked_storage(archive, folder, value.tensor,
                    fmt::format("{}: {}: tensor '{}'", archive.where(), pickle,
                                printable(value.tensor.storage_key)),
                    &type);
  });
}

// A record of a debug file: (offset, ((texts, file, line), start, end), tag),
// where texts and file are indices into the table of `texts`.
bool is_debug_record(const PickleValue& record,
                     const std::vector<PicklePointer>& texts) {
  const auto is_tuple = [](const PickleValue& value, size_t at_least) {
    return value.kind == Kind::kTuple && value.items.size() >= at_least;
  };
  const auto is_index = [&](const PickleValue& value) {
    return value.kind == Kind::kInt && value.integer >= 0 &&
           static_cast<uint64_t>(value.integer) < texts.size();
  };
  if (!is_tuple(record, 2) || !is_tuple(*record.items[1], 3)) return false;
  const PickleValue& range = *record.items[1];
  const PickleValue& source = *range.items[0];
  if (!is_tuple(source, 3) || source.items[0]->kind != Kind::kList ||
      !is_index(*source.items[1]))
    return false;
  uint64_t length = 0;
  for (const PicklePointer& index : source.items[0]->items) {
    if (!is_index(*index)) return false;
    length += texts[static_cast<size_t>(index->integer)]->text.size();
  }
  const PickleValue &start = *range.items[1], &end = *range.items[2];
  return start.kind == Kind::kInt && end.kind == Kind::kInt &&
         start.integer >= 0 && start.integer <= end.integer &&
         static_cast<uint64_t>(end.integer) <= length + 1;  // an end of line
}

void check_debug_pickle(const ZipArchive& archive, const std::string& name) {
  const PicklePointer root = read_archive_pickle(archive, name);
  const std::string where = fmt::format("{}: {}", archive.where(), name);
  visit_values(*root, [&](const PickleValue& value) {
    if (value.kind == Kind::kTensor || value.kind == Kind::kObject)
      throw_input(where, "expected source positions, found a tensor or object");
  });
  if (root->kind != Kind::kTuple)
    throw_input(where, "expected a tuple of source positions");
  const auto& items = root->items;
  if (items.empty() || items[0]->kind != Kind::kString ||
      items[0]->text != "FORMAT_WITH_STRING_TABLE")
    return;
  if (items.size() != 3 || items[1]->kind != Kind::kTuple ||
      items[2]->kind != Kind::kTuple ||
      std::any_of(items[1]->items.begin(), items[1]->items.end(),
                  [](const auto& text) { return text->kind != Kind::kString; }))
    throw_input(where, "expected texts and source positions");
  const auto& records = items[2]->items;
  for (size_t i = 0; i < records.size(); ++i)
    if (!is_debug_record(*records[i], items[1]->items))
      throw_input(where, fmt::format("source position {} is broken", i));
}

}  // namespace

void check_torchscript_archive(const ZipArchive& archive) {
  check_names(archive);
  // From file format 10 on, ".data/version" holds the version.
  for (const char* name : {"data.pkl", "constants.pkl", "version"})
    if (!archive.has(name) && !archive.has(std::string(".data/") + name))
      throw_input(archive.where(),
                  fmt::format("no TorchScript file: it holds no '{}'", name));
  for (const std::string& name : archive.names()) {
    const std::string lower = lower_case(name);
    if (lower.ends_with(".debug_pkl")) {
      check_debug_pickle(archive, name);
    } else if (lower.ends_with(".pkl")) {
      const PicklePointer root = read_archive_pickle(archive, name);
      // torch.jit.save leaves out the storages of a trace's example inputs.
      if (lower != "traced_inputs.pkl")
        check_values(archive, name, name.substr(0, name.size() - 4) + "/",
                     *root);
      if (name == "data.pkl" && (root->kind != Kind::kObject ||
                                 !root->text.starts_with("__torch__.")))
        throw_input(archive.where() + ": data.pkl",
                    "expected a TorchScript module");
    } else if (lower.ends_with(".py")) {
      check_torchscript_source(archive.read_text(name, kMaxSourceBytes),
                               fmt::format("{}: {}", archive.where(), name));
    }
  }
}

}  // namespace lathe::io
