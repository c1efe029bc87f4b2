// Files: whole reads, read-only mappings, and writes that never leave a half
// file behind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace lathe {

// Reads a whole file. Errors: kInput when it does not exist or is a folder or
// larger than `max_bytes`; kIo when reading fails.
std::string read_file(const std::filesystem::path& path,
                      uint64_t max_bytes = UINT64_MAX);

// Calls `take` with the file's bytes in order, a chunk at a time. Errors as
// read_file.
void read_file_chunks(const std::filesystem::path& path,
                      const std::function<void(std::string_view)>& take,
                      uint64_t max_bytes = UINT64_MAX);

// A read-only mapping of a regular file; an empty file maps to no bytes.
// Errors as read_file.
class MappedFile {
 public:
  static std::shared_ptr<const MappedFile> open(
      const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// A file that appears under its name only when commit() has returned: written
// to a temporary file in the same folder, synced, renamed. Destroyed without
// commit, it leaves nothing. Errors: kIo (kInput when the folder is missing).
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes);
  void write(std::span<const std::byte> bytes);
  uint64_t position() const { return position_; }
  // The temporary file's path, for writers that want a path of their own.
  const std::filesystem::path& temporary() const { return temporary_; }
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int fd_ = -1;
  uint64_t position_ = 0;
};

void write_file_atomic(const std::filesystem::path& path,
                       std::string_view bytes);

}  // namespace lathe
