#include "calibration/data/blob.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::data {
namespace {

[[noreturn]] void throw_io(const std::string& where, const char* doing) {
  throw Error(ErrorKind::kIo, where,
              fmt::format("{} failed: {}", doing, std::strerror(errno)));
}

void read_at(int fd, uint64_t offset, std::span<char> into,
             const std::string& name) {
  while (!into.empty()) {
    const ssize_t got =
        ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_io(name, "reading");
    if (got == 0) throw_input(name, "the file ends early");
    offset += static_cast<uint64_t>(got);
    into = into.subspan(static_cast<size_t>(got));
  }
}

int open_for_reading(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd >= 0) return fd;
  if (errno == ENOENT) throw_input(path, "no such file");
  throw_io(path, "opening");
}

class MemoryStorage : public Storage {
 public:
  explicit MemoryStorage(std::string bytes) : bytes_(std::move(bytes)) {}
  void read(uint64_t offset, std::span<char> into) const override {
    std::memcpy(into.data(), bytes_.data() + offset, into.size());
  }

 private:
  std::string bytes_;
};

class OpenFileStorage : public Storage {
 public:
  OpenFileStorage(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  ~OpenFileStorage() override { ::close(fd_); }
  void read(uint64_t offset, std::span<char> into) const override {
    read_at(fd_, offset, into, name_);
  }

 private:
  int fd_;
  std::string name_;
};

class PathStorage : public Storage {
 public:
  explicit PathStorage(std::string path) : path_(std::move(path)) {}
  void read(uint64_t offset, std::span<char> into) const override {
    OpenFileStorage(open_for_reading(path_), path_).read(offset, into);
  }

 private:
  std::string path_;
};

uint64_t regular_file_size(const std::filesystem::path& path) {
  std::error_code failed;
  const auto status = std::filesystem::status(path, failed);
  if (!std::filesystem::exists(status))
    throw_input(path.string(), "no such file");
  if (!std::filesystem::is_regular_file(status))
    throw_input(path.string(), "expected a file, found something else");
  const auto size = std::filesystem::file_size(path, failed);
  if (failed)
    throw Error(ErrorKind::kIo, path.string(),
                "its size cannot be read: " + failed.message());
  return size;
}

}  // namespace

Blob Blob::file(const std::filesystem::path& path) {
  const uint64_t size = regular_file_size(path);
  return Blob(path.string(), std::make_shared<PathStorage>(path.string()), 0,
              size);
}

Blob Blob::open_file(const std::filesystem::path& path) {
  const uint64_t size = regular_file_size(path);
  return Blob(path.string(),
              std::make_shared<OpenFileStorage>(open_for_reading(path.string()),
                                                path.string()),
              0, size);
}

Blob Blob::memory(std::string bytes, std::string name) {
  const uint64_t size = bytes.size();
  return Blob(std::move(name),
              std::make_shared<MemoryStorage>(std::move(bytes)), 0, size);
}

void Blob::read(uint64_t offset, std::span<char> into) const {
  if (offset > size_ || into.size() > size_ - offset)
    throw_input(name_, fmt::format("ends at byte {}, expected {}", size_,
                                   offset + into.size()));
  if (!into.empty()) storage_->read(offset_ + offset, into);
}

std::string Blob::read(uint64_t offset, uint64_t size) const {
  if (offset > size_ || size > size_ - offset)
    throw_input(name_, fmt::format("ends at byte {}, expected {}", size_,
                                   offset + size));
  std::string bytes(size, '\0');
  read(offset, bytes);
  return bytes;
}

std::string Blob::read_all(uint64_t max_bytes) const {
  if (size_ > max_bytes)
    throw_input(name_,
                fmt::format("has {}, expected at most {}", format_bytes(size_),
                            format_bytes(max_bytes)));
  return read(0, size_);
}

Spool::Spool(uint64_t memory_bytes) : memory_bytes_(memory_bytes) {}

Spool::~Spool() {
  if (fd_ >= 0) ::close(fd_);
}

void Spool::write(std::span<const char> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) throw_io("temporary file", "writing");
    bytes = bytes.subspan(static_cast<size_t>(put));
  }
}

void Spool::expect(uint64_t bytes) {
  if (fd_ < 0 && size_ <= memory_bytes_ && bytes <= memory_bytes_ - size_)
    memory_.reserve(static_cast<size_t>(size_ + bytes));
}

void Spool::append(std::span<const char> bytes) {
  if (fd_ < 0 && size_ + bytes.size() > memory_bytes_) {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "lathe-XXXXXX").string();
    fd_ = ::mkstemp(pattern.data());
    if (fd_ < 0) throw_io(pattern, "creating a temporary file");
    ::unlink(pattern.c_str());
    write(memory_);
    memory_ = {};
  }
  if (fd_ < 0)
    memory_.append(bytes.data(), bytes.size());
  else
    write(bytes);
  size_ += bytes.size();
}

std::shared_ptr<const Storage> Spool::finish() {
  size_ = 0;
  if (fd_ >= 0)
    return std::make_shared<OpenFileStorage>(std::exchange(fd_, -1),
                                             "temporary file");
  return std::make_shared<MemoryStorage>(std::exchange(memory_, {}));
}

}  // namespace lathe::data
