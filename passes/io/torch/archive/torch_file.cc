#include "passes/io/torch/archive/torch_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <unordered_set>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/io/torch/archive/torch_tensors.h"

namespace lathe::io {
namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view kFormatsHint =
    "Lathe reads TorchScript (torch.jit.save) and exported programs "
    "(torch.export.save)";
// The integer 0x1950a86a20f9469cfc6c, which begins torch.save's older form.
constexpr std::string_view kLegacyMagic(
    "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
// How far down in dicts a checkpoint's state_dict is looked for.
constexpr size_t kMaxKeys = 2;

// A value inside nested dicts, and the keys that lead to it.
struct Place {
  const PickleValue* value;
  std::vector<std::string_view> keys;
};

std::string python_string(std::string_view text) {
  std::string out = "'";
  for (char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out + "'";
}

size_t count_tensors(const PickleValue& dict) {
  size_t count = 0;
  for (size_t i = 1; i < dict.items.size(); i += 2)
    count += dict.items[i]->kind == Kind::kTensor;
  return count;
}

// Tensors, beside them at most a few values that are no dicts (extra state).
bool is_state_dict(const PickleValue& value) {
  if (value.kind != Kind::kDict) return false;
  for (size_t i = 0; i < value.items.size(); i += 2)
    if (value.items[i]->kind != Kind::kString ||
        value.items[i + 1]->kind == Kind::kDict)
      return false;
  const size_t tensors = count_tensors(value);
  return tensors > 0 && 2 * tensors >= value.items.size() / 2;
}

bool is_module(const PickleValue& value) {
  if (value.kind != Kind::kObject) return false;
  if (value.text.starts_with("torch.fx.graph_module.")) return true;
  const PickleValue& state = *value.items.back();
  return state.find("_modules") && state.find("_parameters");
}

// `root` or, where it is a dict, the first value in it that `is` accepts,
// those with fewer keys first.
std::optional<Place> find_place(
    const PickleValue& root,
    const std::function<bool(const PickleValue&)>& is) {
  std::vector<Place> places{{&root, {}}};
  std::unordered_set<const PickleValue*> seen{&root};
  for (size_t i = 0; i < places.size(); ++i) {
    const Place place = places[i];
    if (is(*place.value)) return place;
    if (place.value->kind != Kind::kDict || place.keys.size() == kMaxKeys)
      continue;
    for (size_t k = 0; k < place.value->items.size(); k += 2) {
      const PickleValue& key = *place.value->items[k];
      const PickleValue* value = place.value->items[k + 1].get();
      if (key.kind != Kind::kString || value->items.empty() ||
          !seen.insert(value).second)
        continue;
      places.push_back({value, place.keys});
      places.back().keys.push_back(key.text);
    }
  }
  return std::nullopt;
}

std::string subscripts(const std::vector<std::string_view>& keys) {
  std::string text;
  for (std::string_view key : keys) text += "[" + python_string(key) + "]";
  return text;
}

std::string export_hint(const std::string& first_line) {
  return fmt::format(
      "export the program in Python, with an input of the model's own shape:\n"
      "    {}\n"
      "    program = torch.export.export(model.eval(), "
      "(torch.randn(1, 3, 224, 224),))\n"
      "    torch.export.save(program, 'model.pt2')",
      first_line);
}

[[noreturn]] void reject_module(const std::string& where, const Place& place) {
  const std::string inside =
      place.keys.empty()
          ? ""
          : fmt::format(" under {}", printable(subscripts(place.keys)));
  throw_input(
      where,
      fmt::format("holds a pickled nn.Module{} ({}): its code is in Python, "
                  "not in the file",
                  inside, printable(place.value->text)),
      export_hint(fmt::format("model = torch.load({}, weights_only=False){}",
                              python_string(where), subscripts(place.keys))));
}

// `plain`: torch.load takes the whole file without weights_only=False.
[[noreturn]] void reject_state_dict(const std::string& where,
                                    const Place& place, bool plain) {
  const auto& items = place.value->items;
  size_t first = 0;
  bool parallel = true;  // saved from nn.DataParallel, which adds "module."
  for (size_t i = items.size(); i > 0; i -= 2) {
    if (items[i - 1]->kind == Kind::kTensor) first = i - 2;
    parallel = parallel && items[i - 2]->text.starts_with("module.");
  }
  const std::string load = fmt::format(
      "torch.load({}, map_location='cpu'{}){}", python_string(where),
      plain ? "" : ", weights_only=False", subscripts(place.keys));
  const std::string weights =
      parallel ? fmt::format(
                     "{{k.removeprefix('module.'): v for k, v in "
                     "{}.items()}}",
                     load)
               : load;
  const size_t count = count_tensors(*place.value);
  throw_input(
      where,
      fmt::format("holds a {}: {} tensor{} and no program (first '{}')",
                  place.keys.empty()
                      ? "state_dict"
                      : fmt::format("checkpoint with a state_dict under {}",
                                    printable(subscripts(place.keys))),
                  count, count == 1 ? "" : "s", printable(items[first]->text)),
      export_hint(
          fmt::format("model = Net(); model.load_state_dict({})", weights)));
}

[[noreturn]] void reject_value(const std::string& where,
                               const PickleValue& value) {
  std::string what;
  if (value.kind == Kind::kTensor)
    what = fmt::format("a single tensor of shape [{}]",
                       fmt::join(value.tensor.sizes, ","));
  else if (value.kind == Kind::kObject)
    what = fmt::format("a Python object ({})", printable(value.text));
  else if (value.kind == Kind::kDict)
    what = fmt::format("a Python dict of {} values without a state_dict",
                       value.items.size() / 2);
  else if (value.kind == Kind::kList || value.kind == Kind::kTuple)
    what = fmt::format("a Python list of {} values", value.items.size());
  else
    what = "a Python value";
  throw_input(where, fmt::format("holds {} and no program", what),
              std::string(kFormatsHint));
}

// What torch.save has written in `pickle`.
[[noreturn]] void reject_saved_object(const std::string& where,
                                      std::string_view pickle,
                                      const std::string& pickle_where) {
  const PicklePointer root =
      read_pickle(pickle, pickle_where, {.opaque_objects = true});
  const auto found = find_place(*root, [](const PickleValue& value) {
    return is_module(value) || is_state_dict(value);
  });
  if (!found) reject_value(where, *root);
  if (found->value->kind == Kind::kObject) reject_module(where, *found);
  bool plain = true;
  try {
    read_pickle(pickle, pickle_where);
  } catch (const Error&) {
    plain = false;
  }
  reject_state_dict(where, *found, plain);
}

// torch.save's older form: four pickles (a magic number, the version, facts
// about the machine, the object), then the storages.
[[noreturn]] void reject_legacy_file(const std::string& where,
                                     std::string_view bytes) {
  std::string_view left = bytes;
  size_t used = 0;
  bool is_legacy = false;
  try {
    const PicklePointer magic =
        read_pickle(left.substr(0, 64), where, {}, &used);
    is_legacy = magic->kind == Kind::kBytes && magic->text == kLegacyMagic;
  } catch (const Error&) {
  }
  if (!is_legacy)
    throw_input(where,
                "no PyTorch file: neither a zip archive nor written by "
                "torch.save",
                std::string(kFormatsHint));
  left.remove_prefix(used);
  for (int i = 0; i < 2; ++i) {
    read_pickle(left, where, {.opaque_objects = true}, &used);
    left.remove_prefix(used);
  }
  reject_saved_object(where, left, where);
}

[[noreturn]] void reject_archive(const ZipArchive& archive) {
  const std::string& where = archive.where();
  if (archive.has("data.pkl"))
    reject_saved_object(where, archive.read_text("data.pkl", kMaxPickleBytes),
                        where + ": data.pkl");
  std::vector<std::string> some;
  for (const std::string& name : archive.names())
    if (some.size() < 3) some.push_back("'" + printable(name) + "'");
  throw_input(where,
              some.empty()
                  ? "an empty zip archive"
                  : fmt::format("no PyTorch file: a zip archive of {}"
                                "{}",
                                fmt::join(some, ", "),
                                archive.names().size() > 3 ? ", …" : ""),
              std::string(kFormatsHint));
}

}  // namespace

TorchFileKind identify_torch_file(const std::filesystem::path& path) {
  const std::string where = path.string();
  const auto file = MappedFile::open(path);
  const std::string_view bytes(
      reinterpret_cast<const char*>(file->bytes().data()),
      file->bytes().size());
  if (bytes.empty()) throw_input(where, "the file is empty");
  if (!is_zip(bytes)) reject_legacy_file(where, bytes);

  const auto archive =
      ZipArchive::from_bytes(ir::Bytes(file, file->bytes()), where);
  const auto any = [&](std::string_view folder, std::string_view ending) {
    return std::any_of(archive.names().begin(), archive.names().end(),
                       [&](const std::string& name) {
                         return name.starts_with(folder) &&
                                name.ends_with(ending);
                       });
  };
  if (archive.has("bytecode.pkl"))
    throw_input(where, "is TorchScript for the lite interpreter",
                "save the model with torch.jit.save instead");
  if (archive.has("model.json"))
    throw_input(where, "is TorchScript in the old form",
                "load it in PyTorch and save it again with torch.jit.save");
  if (archive.has("constants.pkl") && any("code/", ""))
    return TorchFileKind::kTorchScript;
  if (archive.has("serialized_exported_program.json") ||
      any("models/", ".json"))
    return TorchFileKind::kExportedProgram;
  reject_archive(archive);
}

}  // namespace lathe::io
