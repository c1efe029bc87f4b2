// Tensors whose bytes live in a file beside the model (ONNX "external data":
// keys location, offset and length; checksum is not verified, as in the
// runtime).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>

#include "passes/base/file.h"
#include "passes/io/onnx/proto_fwd.h"
#include "passes/ir/tensor.h"

namespace lathe::io {

// Finds and maps the files. Nothing is read or copied.
class ExternalReader {
 public:
  // `where` is the model in messages. An empty folder refuses external data:
  // a model that came from memory has none.
  ExternalReader(std::filesystem::path folder, std::string where)
      : folder_(std::move(folder)), where_(std::move(where)) {}

  // The bytes of a tensor that needs `needed` bytes by its shape; where the
  // file says no length, that many from the offset on. Error kInput when the
  // location leaves the folder or does not exist, or the file is too short.
  ir::Bytes read(const onnx::TensorProto& tensor, uint64_t needed,
                 const std::string& subject);

 private:
  std::filesystem::path resolve(const std::string& location,
                                const std::string& subject) const;

  std::filesystem::path folder_;
  std::string where_;
  struct File {
    std::shared_ptr<const MappedFile> mapping;
    uint64_t unaligned_bytes = 0;
  };
  std::map<std::string, File> files_;
};

// Appends tensors to one data file, aligned so that a reader can map them.
// Bytes that two tensors share are written once.
class ExternalWriter {
 public:
  // Null `file`: only counts. `location` is the file's name as the model
  // gives it.
  ExternalWriter(AtomicFile* file, std::string location)
      : file_(file), location_(std::move(location)) {}

  // Writes the bytes and makes `proto` refer to them.
  void place(std::span<const std::byte> bytes, onnx::TensorProto& proto);
  // Sum over all tensors placed, shared bytes counted each time.
  uint64_t placed_bytes() const { return placed_bytes_; }

 private:
  AtomicFile* file_;
  std::string location_;
  uint64_t end_ = 0, placed_bytes_ = 0;
  std::map<std::pair<const std::byte*, size_t>, uint64_t> offsets_;
};

}  // namespace lathe::io
