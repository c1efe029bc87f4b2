// What a torch.export archive holds: the program as JSON, and its weights.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "passes/io/torch/archive/zip_archive.h"
#include "passes/io/torch/exported/exported_program_json.h"
#include "passes/ir/tensor.h"

namespace lathe::io::exported {

class ExportedArchive {
 public:
  // Errors kInput: no program, several programs, a damaged archive;
  // kUnsupported: a version of the format that is not known.
  static ExportedArchive open(const std::filesystem::path& path);

  const std::string& where() const { return zip_.where(); }
  // The ExportedProgram of torch/_export/serde/schema.py.
  JsonField program() const { return program_->root(); }
  // A parameter, buffer or constant. Error kInput when there is none of that
  // name, or its bytes are damaged or left out.
  ir::Tensor weight(const std::string& name);

 private:
  // Where tensors of one kind (weights, constants) are.
  struct Store {
    std::string folder;  // of the files that `payload` names
    std::string pickle;  // a torch.save archive of all, as long as it is unread
    std::optional<JsonFile> payload;
    std::map<std::string, ir::Tensor> tensors;
  };

  explicit ExportedArchive(ZipArchive zip) : zip_(std::move(zip)) {}
  void find_entries();
  void find_store(Store& store, const std::string& folder,
                  const std::string& config, const std::string& older_config);
  void check_versions() const;
  std::optional<ir::Tensor> find(Store& store, const std::string& name) const;
  ir::Tensor payload_tensor(const Store& store, const std::string& name,
                            const JsonField& payload) const;

  ZipArchive zip_;
  std::string program_entry_;
  std::optional<JsonFile> program_;
  Store weights_, constants_;
};

}  // namespace lathe::io::exported
