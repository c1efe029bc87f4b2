// Layouts, by the PyTorch that writes them:
//   2.1 to 2.7: serialized_exported_program.json beside the torch.save archives
//     serialized_state_dict.pt (2.1: .json, with the same content) and
//     serialized_constants.pt (from 2.2).
//   2.8: a "PT2 archive" (archive_format, archive_version, models/NAME.json)
//     with the torch.save archives data/weights/NAME.pt and
//     data/constants/NAME.pt; within a folder named as the file, or without.
//   2.9 and later: the same with one file a tensor, data/weights/weight_N and
//     data/constants/tensor_N. data/weights/NAME_weights_config.json and
//     data/constants/NAME_constants_config.json say for each name the file, the
//     tensor's type, sizes, strides and offset, and whether the file holds the
//     storage's bytes or a torch.save archive (use_pickle). Writers other than
//     torch.export.save call them NAME_model_param_config.json and
//     NAME_model_constants_config.json.
#include "passes/io/torch/exported/exported_program_archive.h"

#include <fmt/format.h>

#include <vector>

#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/io/torch/archive/pickle.h"
#include "passes/io/torch/archive/torch_file.h"
#include "passes/io/torch/exported/exported_program_types.h"

namespace lathe::io::exported {
namespace {

constexpr const char* kExportAgain =
    "export the model again and save it with torch.export.save";

std::string entry_place(const ZipArchive& zip, const std::string& entry) {
  return zip.where() + ": " + entry;
}

std::optional<std::string> small_text(const ZipArchive& zip,
                                      const std::string& entry) {
  if (!zip.has(entry)) return std::nullopt;
  return std::string(trim(zip.read_text(entry, /*max_bytes=*/64)));
}

// models/NAME.json -> NAME
std::vector<std::string> model_names(const ZipArchive& zip) {
  constexpr std::string_view kHead = "models/", kTail = ".json";
  std::vector<std::string> names;
  for (const std::string& entry : zip.names())
    if (entry.starts_with(kHead) && entry.ends_with(kTail) &&
        entry.size() > kHead.size() + kTail.size())
      names.push_back(entry.substr(kHead.size(),
                                   entry.size() - kHead.size() - kTail.size()));
  return names;
}

[[noreturn]] void fail_no_program(const ZipArchive& zip) {
  for (const std::string& entry : zip.names())
    if (entry.starts_with("data/aotinductor/"))
      throw_input(zip.where(),
                  "holds code that AOTInductor compiled, and no program",
                  kExportAgain);
  throw_input(zip.where(),
              "holds no torch.export program: there is neither "
              "serialized_exported_program.json nor models/NAME.json in it",
              kExportAgain);
}

// A torch.save archive of one tensor.
ir::Tensor load_pickled_tensor(const ZipArchive& zip, const std::string& entry,
                               const std::string& name) {
  const std::string where = entry_place(zip, entry);
  const ZipArchive nested = ZipArchive::from_bytes(zip.read(entry), where);
  const ir::Bytes bytes = nested.read("data.pkl");
  PickleOptions options;
  options.opaque_objects = true;
  const PicklePointer value = read_pickle(
      {reinterpret_cast<const char*>(bytes.span().data()), bytes.size()},
      where + ": data.pkl", options);
  if (value->kind == PickleValue::Kind::kTensor)
    return load_tensor(nested, "data/", value->tensor, name);
  if (value->kind == PickleValue::Kind::kObject)
    throw_unsupported(where,
                      fmt::format("the weight '{}' is an object of class {}, "
                                  "and not a plain tensor",
                                  name, value->text));
  throw_input(where, fmt::format("no tensor is in the pickle of '{}'", name));
}

}  // namespace

ExportedArchive ExportedArchive::open(const std::filesystem::path& path) {
  ExportedArchive archive(ZipArchive::open(path));
  archive.find_entries();
  archive.program_.emplace(
      archive.zip_.read_text(archive.program_entry_, JsonFile::kMaxBytes),
      entry_place(archive.zip_, archive.program_entry_));
  archive.check_versions();
  return archive;
}

void ExportedArchive::find_entries() {
  program_entry_ = "serialized_exported_program.json";
  if (zip_.has(program_entry_)) {
    for (const char* entry :
         {"serialized_state_dict.json", "serialized_state_dict.pt"})
      if (zip_.has(entry)) weights_.pickle = entry;
    if (zip_.has("serialized_constants.pt"))
      constants_.pickle = "serialized_constants.pt";
    return;
  }
  const std::vector<std::string> models = model_names(zip_);
  if (models.empty()) fail_no_program(zip_);
  if (models.size() > 1)
    throw_input(zip_.where(),
                fmt::format("holds {} programs ({}), and one is expected",
                            models.size(), join(models, ", ")),
                "save one program a file with torch.export.save");
  program_entry_ = "models/" + models[0] + ".json";
  find_store(weights_, "data/weights/", models[0] + "_weights_config.json",
             models[0] + "_model_param_config.json");
  find_store(constants_, "data/constants/",
             models[0] + "_constants_config.json",
             models[0] + "_model_constants_config.json");
  const std::string pickle = models[0] + ".pt";
  for (Store* store : {&weights_, &constants_})
    if (!store->payload && zip_.has(store->folder + pickle))
      store->pickle = store->folder + pickle;
}

void ExportedArchive::find_store(Store& store, const std::string& folder,
                                 const std::string& config,
                                 const std::string& older_config) {
  store.folder = folder;
  for (const std::string& name : {config, older_config}) {
    const std::string entry = folder + name;
    if (!zip_.has(entry) || store.payload) continue;
    store.payload.emplace(zip_.read_text(entry, JsonFile::kMaxBytes),
                          entry_place(zip_, entry));
  }
}

void ExportedArchive::check_versions() const {
  const auto version = small_text(zip_, "archive_version");
  if (version && *version != "0")
    throw_unsupported(
        entry_place(zip_, "archive_version"),
        fmt::format("version '{}' of the PT2 archive is not known, only 0",
                    *version),
        "export the model with an earlier PyTorch");
  const auto order = small_text(zip_, "byteorder");
  if (order && *order != "little")
    throw_unsupported(
        entry_place(zip_, "byteorder"),
        fmt::format("weights in byte order '{}' cannot be read", *order),
        "save the program on a little-endian machine");
  const JsonField field = program().at("schema_version");
  // A plain number before PyTorch 2.3.
  const JsonField major = field.is_object() ? field.at("major") : field;
  constexpr int64_t kNewestSchema = 8;
  if (major.integer() > kNewestSchema)
    throw_unsupported(
        major.where(),
        fmt::format("the program is written in version {} of torch.export's "
                    "schema, and {} is the newest that is known",
                    major.integer(), kNewestSchema),
        "export the model with an earlier PyTorch");
}

ir::Tensor ExportedArchive::weight(const std::string& name) {
  for (Store* store : {&weights_, &constants_})
    if (auto tensor = find(*store, name)) return *std::move(tensor);
  throw_input(zip_.where(),
              fmt::format("the program uses the weight '{}', which the archive "
                          "does not hold",
                          name));
}

std::optional<ir::Tensor> ExportedArchive::find(Store& store,
                                                const std::string& name) const {
  if (!store.pickle.empty()) {
    // Without any tensor the file can be empty.
    const std::string entry = std::exchange(store.pickle, "");
    if (zip_.size_of(entry) > 0)
      store.tensors = load_tensor_dict(
          ZipArchive::from_bytes(zip_.read(entry), entry_place(zip_, entry)));
  }
  const auto found = store.tensors.find(name);
  if (found != store.tensors.end()) return found->second;
  if (!store.payload) return std::nullopt;
  const auto payload = store.payload->root().at("config").find(name);
  if (!payload) return std::nullopt;
  return payload_tensor(store, name, *payload);
}

ir::Tensor ExportedArchive::payload_tensor(const Store& store,
                                           const std::string& name,
                                           const JsonField& payload) const {
  const std::string entry = store.folder + payload.at("path_name").text();
  const std::string where = entry_place(zip_, entry);
  if (!zip_.has(entry))
    payload.at("path_name")
        .fail("the archive has no such file in " + store.folder);
  const auto meta = payload.find("tensor_meta");
  if (!meta)
    throw_unsupported(payload.where(),
                      fmt::format("'{}' is an object of a class of its own, "
                                  "and not a tensor",
                                  name));
  if (payload.at("use_pickle").flag())
    return load_pickled_tensor(zip_, entry, name);
  const ir::DataType type = data_type(meta->at("dtype"));
  const std::vector<int64_t> sizes = known_sizes(meta->at("sizes"));
  if (zip_.size_of(entry) == 0 && ir::element_count(sizes, where) > 0)
    throw_input(where, fmt::format("the bytes of '{}' were left out", name),
                "export the model with real weights, not under FakeTensorMode");
  return tensor_from_storage(zip_.read(entry), type,
                             known_size(meta->at("storage_offset")), sizes,
                             known_sizes(meta->at("strides")), where);
}

}  // namespace lathe::io::exported
