// Reading the zip archives that PyTorch writes (torch.save, torch.jit.save,
// torch.export.save).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "passes/ir/tensor.h"

namespace lathe::io {

class ZipArchive {
 public:
  // Errors kInput, with `where`: no zip archive, truncated, damaged.
  static ZipArchive open(const std::filesystem::path& path);
  // An archive inside an archive. `where` is its place in messages.
  static ZipArchive from_bytes(ir::Bytes bytes, std::string where);

  const std::string& where() const { return where_; }
  // Names of the entries, folders left out, in the archive's order, without
  // the folder that PyTorch puts everything in.
  const std::vector<std::string>& names() const { return names_; }
  // That folder's name without a slash; empty when there is none.
  const std::string& root() const { return root_; }
  bool has(std::string_view name) const;
  uint64_t size_of(std::string_view name) const;
  // The entry's bytes; a stored (uncompressed) entry is a part of the mapped
  // file, not a copy. Errors kInput: no such entry, damaged (CRC-32), larger
  // than `max_bytes`.
  ir::Bytes read(std::string_view name, uint64_t max_bytes = UINT64_MAX) const;
  std::string read_text(std::string_view name, uint64_t max_bytes) const;

 private:
  struct Entry;
  ZipArchive() = default;

  ir::Bytes bytes_;
  std::string where_, root_;
  std::vector<std::string> names_;
  std::map<std::string, std::shared_ptr<const Entry>, std::less<>> entries_;
};

// By its first four bytes.
bool is_zip(std::string_view head);

}  // namespace lathe::io
