// Bytes to read from: a file, a part of one, or memory. Reading is thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace lathe::data {

class Storage {
 public:
  virtual ~Storage() = default;
  // Errors: kInput when the bytes are not there, kIo when reading fails.
  virtual void read(uint64_t offset, std::span<char> into) const = 0;
};

class Blob {
 public:
  // A regular file, opened at each read and not before. Error kInput when it
  // does not exist or is none.
  static Blob file(const std::filesystem::path& path);
  // As `file`, but it stays open: for many small reads.
  static Blob open_file(const std::filesystem::path& path);
  static Blob memory(std::string bytes, std::string name);

  Blob(std::string name, std::shared_ptr<const Storage> storage,
       uint64_t offset, uint64_t size)
      : name_(std::move(name)),
        storage_(std::move(storage)),
        offset_(offset),
        size_(size) {}

  // What messages call it: the file, or "archive: member".
  const std::string& name() const { return name_; }
  uint64_t size() const { return size_; }
  // Error kInput beyond the end.
  void read(uint64_t offset, std::span<char> into) const;
  std::string read(uint64_t offset, uint64_t size) const;
  // All of it. Error kInput when larger than `max_bytes`.
  std::string read_all(uint64_t max_bytes) const;

 private:
  std::string name_;
  std::shared_ptr<const Storage> storage_;
  uint64_t offset_ = 0, size_ = 0;
};

// Collects bytes in memory and moves them to an unnamed temporary file once
// there are more than `memory_bytes` of them.
class Spool {
 public:
  explicit Spool(uint64_t memory_bytes);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  // About so many bytes come next; a wrong guess costs address space alone.
  void expect(uint64_t bytes);
  void append(std::span<const char> bytes);
  uint64_t size() const { return size_; }
  bool in_memory() const { return fd_ < 0; }
  // What was appended; the spool is empty afterwards.
  std::shared_ptr<const Storage> finish();

 private:
  void write(std::span<const char> bytes);
  uint64_t memory_bytes_, size_ = 0;
  std::string memory_;
  int fd_ = -1;
};

}  // namespace lathe::data
